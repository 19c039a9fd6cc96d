"""The add-on's preferences: where the daemon is, and where results go."""

import os
import tempfile

import bpy
from bpy.props import BoolProperty, StringProperty

from . import compat

PACKAGE = __package__


class InvePreferences(bpy.types.AddonPreferences):
    """Endpoint, keys and cache folder."""

    bl_idname = PACKAGE

    endpoint: StringProperty(
        name="Endpoint",
        description="The daemon's address, such as ipc:///run/user/1000/inve/daemon.sock or "
        "tcp://127.0.0.1:47310; "
        "empty for the default daemon of this machine",
    )
    connect_at_start: BoolProperty(
        name="Connect at Start",
        description="Connect when Blender starts, not only when asked to",
        default=False,
    )
    keys: StringProperty(
        name="Keys",
        description="File with the keys for a daemon on another machine. Daemons do not take "
        "keys yet: until they "
        "do, use an ssh tunnel to a loopback port",
        subtype="FILE_PATH",
    )
    cache_folder: StringProperty(
        name="Cache Folder",
        description="Where edited pictures are kept; empty for the add-on's own folder",
        subtype="DIR_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        """Lay the settings out."""
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "endpoint")
        layout.prop(self, "connect_at_start")
        layout.prop(self, "keys")
        layout.prop(self, "cache_folder")
        if not self.cache_folder:
            layout.label(text=cache_folder(create=False), icon="FILE_FOLDER")


def preferences(context: bpy.types.Context | None = None) -> InvePreferences:
    """The preferences of the enabled add-on.

    Raises:
        KeyError: it is not enabled.
    """
    return (context or bpy.context).preferences.addons[PACKAGE].preferences


def cache_folder(*, create: bool = True) -> str:
    """Where edited pictures go: as set, else the one place that Blender gives an add-on."""
    chosen = preferences().cache_folder
    if chosen:
        folder = bpy.path.abspath(chosen)
    elif compat.HAS_EXTENSIONS and PACKAGE.startswith("bl_ext."):
        folder = bpy.utils.extension_path_user(PACKAGE, path="cache", create=create)
    else:
        base = bpy.utils.user_resource("DATAFILES") or tempfile.gettempdir()
        folder = os.path.join(base, "inve_blender")
    if create:
        os.makedirs(folder, exist_ok=True)
    return folder


CLASSES = (InvePreferences,)
