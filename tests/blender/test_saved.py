"""What the .blend keeps."""

from __future__ import annotations

from blender_support import Blender
from daemon_support import Clip, Daemon


def test_everything_is_in_the_file(blender: Blender, daemon: Daemon, clip: Clip) -> None:
    daemon.start().close()
    told = blender.run("saved.py", endpoint=daemon.endpoint, clip=clip.folder)
    assert told["shot"]
    assert told["settings"] == ["quality", True, 512]
    assert told["document"] == [["paint", 0.5]]
    assert told["layers"] == [["paint", "sketch", 0.5]]
    assert told["brush"] == 33.0
    # The strip that has no shot was left as it was.
    assert told["versions"] == [told["current"], told["current"], 0]
    assert told["problem"] is None
    assert "got 99; install the newer add-on" in told["newer"]
    assert told["offline"] == "Offline."
