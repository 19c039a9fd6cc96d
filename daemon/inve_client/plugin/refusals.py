"""What went wrong, as a value and as an exception; by itself, because a host loads little as it starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Problem:
    """What went wrong, for people; `code` is one of SPEC.md, section 9, or `plugin` for this side's own."""

    code: str
    message: str
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class RefusedError(Exception):
    """Something that cannot be done, with the sentence that says why and what to do instead."""

    def __init__(self, message: str, code: str = "plugin") -> None:
        super().__init__(message)
        self.problem = Problem(code, message)
