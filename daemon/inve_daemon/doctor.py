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
# The same for the backend, which on a GPU compiles and checks kernels.
_ASK_BACKEND = """
import json, torch, warnings
from inve_core.encodings.backends import grid_backend, passed_over
warnings.simplefilter("ignore")
device = "cuda:0" if torch.cuda.is_available() else "cpu"
print(json.dumps({"name": grid_backend(device).name, "passed_over": passed_over(device), "device": device}))
"""
ASK_S = 120


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


def _ask(program: str) -> dict[str, Any] | str:
    """What a program in a process of its own prints last, or why it printed nothing."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    asked = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=ASK_S,
        check=False,
        env=environment,
    )
    if asked.returncode != 0:
        return (asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"])[-1]
    answer: dict[str, Any] = json.loads(asked.stdout.splitlines()[-1])
    return answer


def _devices() -> list[Finding]:
    try:
        answer = _ask(_ASK_TORCH)
    except subprocess.TimeoutExpired:
        return [
            Finding("torch", "bad", "importing torch took more than two minutes; check the GPU's driver.")
        ]
    if isinstance(answer, str):
        return [Finding("torch", "bad", f"it cannot be imported ({answer}); install it again.")]
    if answer["gpus"]:
        text = f"{', '.join(answer['gpus'])} (CUDA {answer['cuda']}), cpu"
        return [Finding("devices", "ok", text), _backend()]
    why = "this build of torch has no CUDA" if answer["cuda"] is None else "torch finds no CUDA GPU"
    return [
        Finding(
            "devices",
            "note",
            f"cpu with {answer['threads']} threads only, as {why}; a GPU learns much faster.",
        ),
        _backend(),
    ]


def _backend() -> Finding:
    try:
        answer = _ask(_ASK_BACKEND)
    except subprocess.TimeoutExpired:
        text = "checking it took more than two minutes; INVE_BACKEND=torch does without."
        return Finding("backend", "bad", text)
    if isinstance(answer, str):
        # Of an error the sentence is of use, its class is not.
        return Finding("backend", "bad", answer.partition(": ")[2] or answer)
    text = "; ".join([f"{answer['name']} on {answer['device']}", *answer["passed_over"]])
    return Finding("backend", "note" if answer["passed_over"] else "ok", text)


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
            "daemon",
            "ok",
            f"{status['version']} at {client.endpoint}, worker {status['worker']['state']}, "
            f"backend {status['worker'].get('backend') or 'not yet known'}",
        )
    ]
