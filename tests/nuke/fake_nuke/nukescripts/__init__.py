"""The little of Nuke's `nukescripts` that the plugin uses."""

from nukescripts import panels as panels
