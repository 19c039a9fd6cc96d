"""An add-on that `inve-daemon install-plugin` has put there: Blender finds it, and it connects."""

import bpy
import inside

bpy.ops.preferences.addon_enable(module=inside.PACKAGE)
assert inside.PACKAGE in bpy.context.preferences.addons
session = inside.shared("session").current()
inside.connect(session, inside.TOLD["endpoint"])
inside.report(version=session.connection.version)
