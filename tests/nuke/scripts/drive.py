"""Run by each of Nuke's Pythons on what `install-plugin nuke` put there: starts it up, imports it, uses it.

python -I -S drive.py FOLDER FAKE_NUKE ENDPOINT FRAMES
"""

import compileall
import importlib
import json
import os
import pkgutil
import runpy
import sys
import time

folder, fake_nuke, endpoint, frames = sys.argv[1:]
report = {"python": "{}.{}".format(*sys.version_info)}

# As Nuke with a window does: its own modules are there, the folder is on the path, its two files are run.
sys.path.append(fake_nuke)
import stage  # noqa: E402

stage.fresh()
sys.path.insert(0, folder)
begun = time.perf_counter()
for name in ("init.py", "menu.py"):
    if os.path.exists(os.path.join(folder, name)):
        runpy.run_path(os.path.join(folder, name))
report["startup_s"] = time.perf_counter() - begun
report["loaded"] = sorted({"zmq", "msgpack", "ssl", "asyncio"} & set(sys.modules))
if endpoint == "none":
    print(json.dumps(report))
    sys.exit()

assert compileall.compile_dir(folder, quiet=1, rx=None)

import msgpack  # noqa: E402
import zmq  # noqa: E402

import inve_client  # noqa: E402
from inve_client.plugin import messages, preparation, session  # noqa: E402

report["files"] = [zmq.__file__, msgpack.__file__, inve_client.__file__]
report["versions"] = [zmq.__version__, ".".join(map(str, msgpack.version))]

# Every module. Only Nuke's Qt is not here.
import inve_nuke  # noqa: E402

report["imported"], report["without_qt"] = [], []
for package in (inve_client, inve_nuke):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            if "PySide" not in str(error):
                raise
            report["without_qt"].append(module.name)
        else:
            report["imported"].append(module.name)

# The plugin's way: a session whose thread owns the sockets.
link = session.Session("drive")
link.connect(endpoint)
assert link.pump_until(lambda: link.is_connected, 30), link.connection
preparation.prepare(link, messages.OpenShot("driven", frames), messages.Train("driven"))
assert link.pump_until(lambda: "driven" in link.shots and link.shots["driven"].final, 60), link.shots
report["shot"] = [link.shots["driven"].first_frame, link.shots["driven"].last_frame]
link.end(3)

# And a script's.
with inve_client.Client(endpoint) as client:
    stroke = {"type": "stroke", "frame": 1001, "points": [[3, 3], [9, 9]], "width": 3, "color": [1, 0, 0, 1]}
    client.put_edits("driven", {"version": 1, "layers": [{"name": "a", "kind": "sketch", "edits": [stroke]}]})
    (rendered,) = client.render("driven", [1002])
    report["exr"] = bytes(rendered.exr[:4]).hex()
    client.delete_shot("driven")
print(json.dumps(report))
