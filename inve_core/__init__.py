"""The method: layered neural atlases of a clip, learned, edited, tracked and rendered.

Importing the package touches neither the GPU, the network nor the disk, and does not import torch;
see ARCHITECTURE.md for which module does what.
"""
