"""Measurements in processes of their own: another backend, a memory limit, a peak of their own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REFERENCE = {"INVE_BACKEND": "torch"}
"""What makes a child the eager reference, together with `eager` in its arguments."""
STDERR_TAIL = 2_000


def child(name: str, arguments: Mapping[str, Any], surroundings: Mapping[str, str] | None = None) -> Any:
    """One measurement's result; a map with `failed` where it ended badly, so that the others go on."""
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, str(Path(__file__).with_name("speed.py")), "--one", name]
        command += ["--arguments", json.dumps(arguments), "--result", str(result)]
        here = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[2] / "daemon")]
        paths = os.pathsep.join([*here, *filter(None, [os.environ.get("PYTHONPATH")])])
        ended = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": paths, **(surroundings or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if ended.returncode or not result.exists():
            return {"failed": f"exit code {ended.returncode}: {ended.stderr[-STDERR_TAIL:].strip()}"}
        return json.loads(result.read_text())
