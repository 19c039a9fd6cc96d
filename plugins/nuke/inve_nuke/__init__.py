"""INVE inside Nuke: paint on one frame of a plate, see it on all of them.

`host` is the only file that knows Nuke's module; `node` is the Group in the graph, `actions` what its buttons
do and what scripts without a window call. Importing this loads nothing.
"""

__version__ = "0.1.0"
