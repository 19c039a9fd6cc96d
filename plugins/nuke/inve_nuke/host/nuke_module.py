"""Nuke's module, or a sentence that says where it is: the only file that imports `nuke`."""

from inve_client.plugin.refusals import RefusedError

try:
    import nuke as nuke
except ImportError as error:
    raise RefusedError(
        "The plugin runs inside Nuke, whose module `nuke` was not found; start Nuke, or nuke -t script.py."
    ) from error
