"""`inve-daemon doctor`: what this machine has and lacks, in a line each."""

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from inve_client.errors import InveError, WorkError
from inve_client.version import PROTOCOL, VERSION
from inve_daemon.connecting import default_store, running_daemon
from inve_daemon.store.filesystem import network_type

LEAST_FREE_BYTES = 2 << 30
_PACKAGES = (
    "torch",
    "numpy",
    "OpenImageIO",
    "opencv-python-headless",
    "av",
    "safetensors",
    "pyzmq",
    "msgpack",
    "msgspec",
)
# Only a process of its own may import torch: it takes seconds and memory, and may crash with a broken driver.
_ASK_TORCH = """
import json, torch
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
gpus = [torch.cuda.get_device_name(n) for n in range(count)]
print(json.dumps({"cuda": torch.version.cuda, "gpus": gpus, "threads": torch.get_num_threads()}))
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "note", "bad"]
    text: str


def examine(store: Path | None, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Look at everything and say what was found.

    Raises:
        WorkError: something is bad.
    """
    findings = []
    for look in (_python, _packages, _devices, lambda: _store(store), _daemon):
        for finding in look():
            findings.append(finding)
            say(f"{finding.state:4}  {finding.name}: {finding.text}")
    bad = [finding.name for finding in findings if finding.state == "bad"]
    if bad:
        raise WorkError(
            f"{', '.join(bad)} must be put right before the daemon can work; see the lines above."
        )
    return {"findings": [asdict(finding) for finding in findings]}


def _python() -> list[Finding]:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return [Finding("inve", "ok", f"{VERSION}, protocol {PROTOCOL}"), Finding("python", "ok", text)]


def _packages() -> list[Finding]:
    found, missing = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return [Finding("packages", "bad", f"{', '.join(missing)} missing; run `pip install inve` again.")]
    return [Finding("packages", "ok", ", ".join(found))]


def _devices() -> list[Finding]:
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _ASK_TORCH], capture_output=True, text=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        return [
            Finding("torch", "bad", "importing torch took more than two minutes; check the GPU's driver.")
        ]
    if asked.returncode != 0:
        reason = (asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"])[-1]
        return [Finding("torch", "bad", f"it cannot be imported ({reason}); install it again.")]
    answer = json.loads(asked.stdout.splitlines()[-1])
    if answer["gpus"]:
        return [Finding("devices", "ok", f"{', '.join(answer['gpus'])} (CUDA {answer['cuda']}), cpu")]
    why = "this build of torch has no CUDA" if answer["cuda"] is None else "torch finds no CUDA GPU"
    return [
        Finding(
            "devices",
            "note",
            f"cpu with {answer['threads']} threads only, as {why}; a GPU learns much faster.",
        )
    ]


def _store(store: Path | None) -> list[Finding]:
    folder = default_store() if store is None else store.absolute()
    there = folder
    while not there.exists():
        there = there.parent
    remote = network_type(there)
    if remote is not None:
        return [
            Finding(
                "store", "bad", f"{folder} lies on a network file system ({remote}); choose a local --store."
            )
        ]
    if not os.access(there, os.W_OK):
        return [Finding("store", "bad", f"{there} cannot be written to; choose another --store.")]
    free = shutil.disk_usage(there).free
    state: Literal["ok", "note"] = "ok" if free >= LEAST_FREE_BYTES else "note"
    return [Finding("store", state, f"{folder}, {free / 2**30:.1f} GiB free")]


def _daemon() -> list[Finding]:
    try:
        client = running_daemon()
        if client is None:
            return [Finding("daemon", "note", "none is running; commands start a private one as needed.")]
        with client:
            status = client.status(timeout_s=5.0)
    except InveError as error:
        return [Finding("daemon", "bad", error.message)]
    return [
        Finding(
            "daemon", "ok", f"{status['version']} at {client.endpoint}, worker {status['worker']['state']}"
        )
    ]
