"""What went wrong, as a value and as an exception; by itself, because a host loads little as it starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Problem:
    """What went wrong, for people.

    Attributes:
        code: of SPEC.md, section 9, or `plugin` for this side's own.
        message: a sentence.
        details: as the daemon gave them.
        about: the shot that it is about, "" where it is none alone. No part of what makes two the same.
    """

    code: str
    message: str
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    about: str = dataclasses.field(default="", compare=False)


class RefusedError(Exception):
    """Something that cannot be done, with the sentence that says why and what to do instead."""

    def __init__(self, message: str, code: str = "plugin") -> None:
        super().__init__(message)
        self.problem = Problem(code, message)
