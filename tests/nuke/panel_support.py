"""Shots as the panel needs them, without Nuke and without a daemon: what an artist may see at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from inve_client.plugin.document import EditDocument
from inve_client.plugin.messages import Connection, ConnectionState, Job, Problem, Shot
from inve_client.plugin.rendering import Run
from inve_client.plugin.session import Session
from inve_nuke.panel.log import Log
from inve_nuke.panel.model import PanelModel
from inve_nuke.panel.view import Entry

ENDPOINT = "ipc:///run/user/1000/inve/daemon.sock"


class PlainShots:
    """What the panel asks of the script's shots, with documents that nobody sends anywhere."""

    def __init__(self, *entries: Entry) -> None:
        self.current = entries[0].key if entries else ""
        self.revision = 0
        self.runs: Mapping[str, Run] = {}
        self.documents = {one.key: EditDocument(one.shot) for one in entries if one.shot}
        self.connected: list[str] = []
        self.cancelled: list[str] = []
        self._entries = entries

    def entries(self) -> tuple[Entry, ...]:
        return self._entries

    def document(self, key: str) -> EditDocument | None:
        return self.documents.get(key)

    def choose(self, key: str) -> None:
        self.current = key
        self.revision += 1

    def connect(self, key: str) -> None:
        self.connected.append(key)

    def change(self, key: str, step: Callable[[EditDocument], Any]) -> None:
        step(self.documents[key])
        self.revision += 1

    def cancel_run(self, key: str) -> bool:
        self.cancelled.append(key)
        return True


@dataclasses.dataclass
class Stage:
    """A panel's model with all that it is made of."""

    session: Session
    shots: PlainShots
    log: Log
    model: PanelModel

    def news(self, *news: Any) -> None:
        for one in news:
            self.session._take_in(one)


def stage(*entries: Entry) -> Stage:
    session, shots = Session(), PlainShots(*entries)
    log = Log(session)
    return Stage(session, shots, log, PanelModel(session, shots, log))


def connected(restarted: str = "one") -> Connection:
    return Connection(ConnectionState.CONNECTED, ENDPOINT, "0.1.0", "NVIDIA RTX 4090", restarted)


def lost() -> Connection:
    problem = Problem("unreachable", f"Nobody answers at {ENDPOINT}.")
    return Connection(ConnectionState.LOST, ENDPOINT, problem=problem)


def shot(name: str, **fields: Any) -> Shot:
    told: dict[str, Any] = {
        "shot": name,
        "frames": [1001, 1048],
        "width": 2048,
        "height": 858,
        "pixel_aspect": 1.0,
        "video_layers": ["foreground", "background"],
        "frames_pattern": f"/plates/{name}.%04d.exr",
        "matte_patterns": [],
        "trained": True,
        "final": True,
        "revision": 4,
        "report": {"outcome": "good", "psnr_db": 34.2},
    }
    return Shot.from_wire({**told, **fields})


def learning(name: str, iteration: int = 620, left_s: float | None = 64.0, **fields: Any) -> Job:
    job = Job("job-1", "train", name, "running", "learning", iteration, 2000, left_s)
    return dataclasses.replace(job, **fields)


def add_layers(document: EditDocument, names: list[str], edits: int = 3) -> None:
    stroke = {"type": "stroke", "frame": 1001, "points": [[1, 1], [2, 2]], "width": 2, "color": [1, 0, 0, 1]}
    region = {"type": "adjustment", "frame": 1001, "points": [[1, 1], [2, 2], [3, 1]], "width": 0.0, "hue": 3}
    for name in names:
        document.add_edits(name, [region if name.startswith("adjust") else stroke] * edits)
    document.pending.clear()
    document._confirmed, document._shown = document._shown or (), None
    document.revision = 4
