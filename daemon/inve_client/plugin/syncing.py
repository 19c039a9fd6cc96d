"""Edit layers kept in step with the daemon's: what it confirmed, and the steps that it has not.

Plain data, no sockets: `next_request` says what to ask, `confirmed`, `refused`, `noticed` and `merged` take
what comes back. Each step of the artist is one request with the revision that it builds on. Steps made while
the daemon is away wait, also inside a saved .blend, and are fitted to what others did meanwhile; a step that
has become impossible is dropped with a sentence in `notes`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from .messages import RefusedError
from .steps import KIND_OF_TYPE, Layer, Step, StepImpossible, apply, fitted

if TYPE_CHECKING:
    from typing_extensions import Self

VERSION = 1
"""Of the text in the .blend."""

_UNANSWERED = frozenset(("unreachable", "timed_out"))
# Nothing is wrong with the step itself: it can be done later.
_LATER = frozenset(
    (
        "bad_endpoint",
        "busy",
        "cancelled",
        "failed",
        "internal",
        "interrupted",
        "not_trained",
        "out_of_memory",
        "storage",
        "unknown_shot",
        "version_mismatch",
        "worker_died",
    )
)


class DocumentError(RefusedError):
    """A saved document that cannot be read; the message is one sentence for the artist."""


@dataclass(frozen=True)
class Request:
    """What to ask the daemon: a kind of SPEC.md, its fields, and the id by which it may be asked again."""

    kind: str
    fields: dict[str, Any]
    request_id: str


class SyncedLayers:
    """The edit layers of one shot. All calls on one thread.

    Args:
        shot: its name.

    Attributes:
        revision: of the confirmed layers; None before the daemon was asked.
        pending: steps that are not confirmed, in order.
        held: why nothing is sent, in the daemon's words; "" where nothing stands in the way.
        notes: sentences on what was dropped, oldest first, for the UI to show and clear.
        lost: layers that the daemon had and has no more, for `restore`; () where it lost nothing.
    """

    def __init__(self, shot: str) -> None:
        self.shot = shot
        self.revision: int | None = None
        self.pending: list[Step] = []
        self.held = ""
        self.notes: list[str] = []
        self.lost: tuple[Layer, ...] = ()
        self._confirmed: tuple[Layer, ...] = ()
        self._shown: tuple[Layer, ...] | None = None
        # What undo took, newest last: a step that was not sent, or None where the daemon undid one.
        self._undone: list[Step | None] = []
        self._in_flight: str | None = None
        self._heard = -1
        self._incomplete = False
        self._may_go_back = False

    # What there is

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers as the artist sees them, bottom to top: the pending steps are done here already."""
        if self._shown is None:
            shown = self._confirmed
            for step in self.pending:
                try:
                    shown = apply(shown, step)
                except StepImpossible:
                    # Only one that was sent may be: then it is done, or will be refused and fitted.
                    continue
            self._shown = shown
        return self._shown

    @property
    def confirmed_layers(self) -> tuple[Layer, ...]:
        """All layers as the daemon had them last."""
        return self._confirmed

    @property
    def waiting(self) -> int:
        """How many steps the daemon has not confirmed."""
        return len(self.pending)

    @property
    def needs_fetch(self) -> bool:
        """Whether the daemon has layers that are not here: ask `describe_shot` with edits, then `merged`."""
        # The answer that is awaited may bring what was heard of.
        heard = self._in_flight is None and self._heard > (self.revision or 0)
        return self.revision is None or self._incomplete or heard

    # What passes between here and the daemon

    def next_request(self) -> Request | None:
        """What to send now; None while an answer is awaited, something stands in the way, or all is done.

        A request whose answer got lost is given again as it was, and is not done twice.
        """
        if self._in_flight is not None or not self.pending or self.held or self.revision is None:
            return None
        step = self.pending[0]
        if not step.is_sent:
            if self._heard > self.revision:
                return None
            step = self.pending[0] = replace(step, base_revision=self.revision)
        self._in_flight = step.request_id
        return Request(step.kind, step.fields(self.shot), step.request_id)

    def confirmed(self, request_id: str, revision: int) -> None:
        """The daemon has done a request; what it did not answer about is ignored."""
        if not self.pending or self.pending[0].request_id != request_id:
            return
        step = self.pending.pop(0)
        self._in_flight, self._shown = None, None
        if self.revision is not None and revision <= self.revision:
            return  # Sent again; its outcome was fetched meanwhile.
        try:
            self._confirmed = apply(self._confirmed, step)
        except StepImpossible:
            self._incomplete = True
        # Others came between, or only the daemon knows the outcome: the stacks and names that it made.
        if step.base_revision != self.revision or step.kind in ("undo", "redo") or _names_files(step):
            self._incomplete = True
        self.revision = revision
        self._heard = max(self._heard, revision)

    def refused(self, request_id: str, code: str, message: str, details: Mapping[str, Any]) -> None:
        """The daemon has not done a request, or nobody knows.

        Where the edits were changed meanwhile, the step is fitted to them once they are fetched; undo and
        redo, which would then hit a step of somebody else, are dropped. Where the daemon cannot do it now,
        it is held until `release`. What the daemon will never do is dropped.

        Args:
            request_id: which request.
            code: of `inve_client.errors`.
            message, details: of the error.
        """
        if not self.pending or self.pending[0].request_id != request_id:
            return
        self._in_flight, self._shown = None, None
        step = self.pending[0]
        if code in _UNANSWERED:
            self.held = message
        elif code in _LATER:
            self.held = message
            self.pending[0] = step.anew()
        elif code == "stale_revision":
            self._heard = max(self._heard, int(details.get("revision", 0)))
            self._incomplete = True
            if step.kind in ("undo", "redo"):
                self._drop_first(
                    f"{step.label} was not done, because somebody else changed the edits; look first."
                )
            else:
                self.pending[0] = step.anew()
        elif code == "request_id_reused":
            self.pending[0] = step.anew()
            self._incomplete = True
        else:
            self._drop_first(message if step.kind in ("undo", "redo") else f"{step.label}: {message}")

    def release(self) -> None:
        """Let what was held be sent again: the daemon is back, the shot is trained, or the artist says so."""
        self.held = ""

    def noticed(self, revision: int) -> None:
        """An event told of a revision; that of a request of one's own may come before its answer."""
        self._heard = max(self._heard, revision)

    def missed(self) -> None:
        """Some events never came: fetch what the daemon has."""
        self._incomplete = True

    def reconnected(self) -> None:
        """The daemon is there again, perhaps another one over another store: fetch what it has."""
        self.held, self._in_flight = "", None
        self._incomplete = self._may_go_back = True

    def merged(self, stack: Mapping[str, Any], revision: int) -> None:
        """Take the daemon's layers, and fit the pending steps to them.

        Args:
            stack: as `describe_shot` gives it with edits.
            revision: that came with it. One older than is here crossed with an answer and is ignored; after
                `reconnected` it means that the daemon lost the edits, which then are in `lost`.
        """
        known = self.revision
        went_back = known is not None and revision < known
        if went_back and not self._may_go_back:
            return
        others = known is not None and revision != known
        # While connected, somebody else has removed them, which is their right.
        emptied = self._may_go_back and others and not stack["layers"] and bool(self._confirmed)
        if went_back or emptied:
            self.lost = self.layers
            self.notes.append(
                f"The daemon has lost edits of {self.shot!r} that this file has; Restore puts them back."
            )
        if went_back:
            self._heard = revision
        self._confirmed = tuple(stack["layers"])
        self.revision, self._shown = revision, None
        self._incomplete = self._may_go_back = False
        self._fit(others)

    def restore(self) -> None:
        """Put what the daemon lost, or else all that is shown, in the place of what it has, in one step that
        can be undone.
        """
        self.pending = [Step("put_edits", "Restore all edits", stack=self.lost or self.layers)]
        self.lost = ()
        self._in_flight, self._shown, self._undone = None, None, []

    def _drop_first(self, note: str) -> None:
        self.pending.pop(0)
        self.notes.append(note)
        self._fit(others=False)

    def _fit(self, others: bool) -> None:
        """Fit the pending steps to the confirmed layers; `others` changed them."""
        layers, kept = self._confirmed, []
        for step in self.pending:
            try:
                if step.is_sent:
                    kept.append(step)
                elif step.kind in ("undo", "redo"):
                    if others:
                        raise StepImpossible("somebody else changed the edits; look first.")
                    kept.append(step)
                else:
                    now = fitted(layers, step)
                    if now is None:
                        continue
                    step = now
                    kept.append(step)
                layers = apply(layers, step)
            except StepImpossible as reason:
                if not step.is_sent:
                    self.notes.append(f"{step.label} was not done: {reason}")
        self.pending, self._shown = kept, None

    # In the .blend

    def to_json(self) -> str:
        """All of it as text, for `from_json`."""
        saved = {
            "version": VERSION,
            "shot": self.shot,
            "revision": self.revision,
            "layers": list(self._confirmed),
            "pending": [asdict(step) for step in self.pending],
            "lost": list(self.lost),
        }
        return json.dumps(saved, allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """A document from its text. It is offline: what it has is shown, and fetched anew when the daemon
        is there.

        Raises:
            DocumentError: the text is damaged, or of a newer version.
        """
        try:
            saved = json.loads(text)
            version = saved["version"]
            if isinstance(version, int) and version > VERSION:
                raise DocumentError(
                    f"The edits saved in this file are of version {version}, this plugin reads up to "
                    f"{VERSION}; install a newer one."
                )
            made = cls(saved["shot"])
            made.revision = saved["revision"]
            made._confirmed = tuple(_checked_layer(layer) for layer in saved["layers"])
            made.pending = [_loaded_step(step) for step in saved["pending"]]
            made.lost = tuple(_checked_layer(layer) for layer in saved["lost"])
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as damage:
            raise DocumentError(
                f"The edits saved in this file cannot be read ({type(damage).__name__}: {damage}); what the "
                "daemon has is fetched once it is connected."
            ) from damage
        made.reconnected()
        return made


def _names_files(step: Step) -> bool:
    """Whether it names pictures by path, which the daemon stores under another name."""
    edits = [patch.get("edit") for patch in step.edits if isinstance(patch, Mapping)]
    edits += [edit for layer in step.stack for edit in layer["edits"]]
    return any(not edit["image"].startswith("sha256:") for edit in edits if edit and "image" in edit)


def _checked_layer(layer: Mapping[str, Any]) -> Layer:
    """A layer whose name, kind and edits are there.

    Raises:
        KeyError, TypeError: they are not.
    """
    edits = [{**edit, "id": edit["id"]} for edit in layer["edits"] if KIND_OF_TYPE[edit["type"]]]
    return {**layer, "name": layer["name"], "kind": layer["kind"], "edits": edits}


def _loaded_step(saved: Mapping[str, Any]) -> Step:
    """A step as JSON has it, which knows no tuples.

    Raises:
        TypeError: a field is missing or unknown.
    """
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()
    }
    return Step(**fields)
