"""Blender's operators, a file a subject; `CLASSES` of each file is what is registered."""
