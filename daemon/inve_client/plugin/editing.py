"""The edit documents of the shots in use, kept in step with the daemon through the session.

    edits = EditSync(session, changed=redraw_list, confirmed=render)
    document = edits.open(EditDocument("plate"))
    document.add_edits("Paint", [...])
    edits.send("plate")            # at once, where nothing else is under way; else when its turn has come

An artist's step is one request. What is refused, held or lost is the document's business (`syncing.py`);
here its sentences come to the panel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from . import syncing
from .document import EditDocument
from .messages import (
    Connection,
    ConnectionState,
    Missed,
    News,
    Problem,
    Reply,
    Request,
    ShotNews,
    take,
)
from .session import Session

_QUIET = frozenset(("unreachable", "timed_out", "unknown_shot"))
"""Problems with fetching that the panel tells in other words, and that pass by themselves."""


@dataclass(frozen=True)
class Fetched:
    """A shot's edits as the daemon has them."""

    stack: Mapping[str, Any]
    revision: int


@dataclass(frozen=True)
class FetchEdits(Request[Fetched]):
    """Ask for a shot's edits."""

    kind: ClassVar[str] = "describe_shot"
    control: ClassVar[bool] = True
    shot: str

    def fields(self) -> dict[str, Any]:
        """As SPEC.md has it."""
        return {"shot": self.shot, "with_edits": True}

    def read(self, reply: Reply) -> Fetched:
        """The stack and its revision."""
        return Fetched(take(reply.result, "stack", dict), take(reply.result, "revision", int))


@dataclass(frozen=True)
class _StepRequest(Request[int]):
    """One step of an artist; the result is the revision that it made."""

    body: Mapping[str, Any]

    def fields(self) -> dict[str, Any]:
        """As the step has them."""
        return dict(self.body)

    def read(self, reply: Reply) -> int:
        """The revision."""
        return int(take(reply.result, "revision", int))


class _PutEdits(_StepRequest):
    kind = "put_edits"


class _PatchEdits(_StepRequest):
    kind = "patch_edits"


class _RemoveEdits(_StepRequest):
    kind = "remove_edits"


class _Undo(_StepRequest):
    kind = "undo"


class _Redo(_StepRequest):
    kind = "redo"


_STEPS = {cls.kind: cls for cls in (_PutEdits, _PatchEdits, _RemoveEdits, _Undo, _Redo)}


class EditSync:
    """Sends the steps of documents and fetches what others did.

    Args:
        session: over which it asks, and whose news it follows until `close`.
        changed: called with a shot's name when its layers are others than before.
        confirmed: called with a shot's name when the daemon has done a step, or others have.
    """

    def __init__(
        self, session: Session, changed: Callable[[str], None], confirmed: Callable[[str], None]
    ) -> None:
        self.documents: dict[str, EditDocument] = {}
        self._session = session
        self._changed, self._confirmed = changed, confirmed
        self._fetching: set[str] = set()
        session.listeners.append(self._take_in)

    def close(self) -> None:
        """Let go of the session's news; what was asked is answered to nobody."""
        if self._take_in in self._session.listeners:
            self._session.listeners.remove(self._take_in)
        self.documents.clear()

    def open(self, document: EditDocument) -> EditDocument:
        """Keep a document in step from now on; another one of the same shot is let go of."""
        self.documents[document.shot] = document
        self.send(document.shot)
        return document

    def send(self, shot: str) -> None:
        """Ask the daemon for what is to be asked by now; nothing where it is away or an answer is awaited."""
        document = self.documents.get(shot)
        if document is None or not self._session.is_connected:
            return
        known = self._session.shots.get(shot)
        if known is not None:
            document.noticed(known.revision)
        if document.needs_fetch:
            self._fetch(document)
        request = document.next_request()
        if request is not None:
            self._ask(document, request)

    def _fetch(self, document: EditDocument) -> None:
        if document.shot in self._fetching:
            return
        self._fetching.add(document.shot)

        def done(fetched: Fetched) -> None:
            self._fetching.discard(document.shot)
            if self._is_open(document):
                before = document.revision
                document.merged(fetched.stack, fetched.revision)
                self._after(document, others=before != document.revision)

        def failed(problem: Problem) -> None:
            self._fetching.discard(document.shot)
            if problem.code not in _QUIET:
                self._session.fail(problem)

        self._session.ask(FetchEdits(document.shot), done, failed)

    def _ask(self, document: EditDocument, request: syncing.Request) -> None:
        def done(revision: int) -> None:
            if self._is_open(document):
                document.confirmed(request.request_id, revision)
                self._after(document, others=True)

        def failed(problem: Problem) -> None:
            if self._is_open(document):
                document.refused(request.request_id, problem.code, problem.message, problem.details)
                self._after(document, others=False)

        self._session.ask(_STEPS[request.kind](request.fields), done, failed, request.request_id)

    def _is_open(self, document: EditDocument) -> bool:
        return self.documents.get(document.shot) is document

    def _after(self, document: EditDocument, *, others: bool) -> None:
        if document.notes:
            self._session.fail(Problem("edits", " ".join(document.notes)), document.shot)
            document.notes.clear()
        self._changed(document.shot)
        if others and not document.needs_fetch:
            self._confirmed(document.shot)
        self.send(document.shot)

    def _take_in(self, news: News) -> None:
        if isinstance(news, Connection) and news.state is ConnectionState.CONNECTED:
            self._fetching.clear()
            for document in self.documents.values():
                document.reconnected()
        elif isinstance(news, Missed):
            for document in self.documents.values():
                document.missed()
        elif isinstance(news, ShotNews) and news.shot in self.documents:
            document = self.documents[news.shot]
            if news.change == "opened":
                # It may have been deleted before, and its edits with it.
                document.reconnected()
            elif news.change == "model":
                document.release()
            elif news.revision is not None:
                document.noticed(news.revision)
        else:
            return
        for shot in list(self.documents):
            self.send(shot)
