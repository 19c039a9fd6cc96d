"""Figures beside their targets: what the demo measured, and whether it is good enough."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inve_daemon.demo.writing import write_file


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        name: what was measured, as a key.
        meaning: the same in words.
        value: the number.
        unit: "px", "s", "" for shares and counts.
        target: what it must reach, or None where nothing is asked.
        good: which way is better.
    """

    name: str
    meaning: str
    value: float
    unit: str = ""
    target: float | None = None
    good: Literal["at most", "at least"] = "at most"

    @property
    def passed(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None:
            return None
        if math.isnan(self.value):
            return False
        return self.value <= self.target if self.good == "at most" else self.value >= self.target

    def to_dict(self) -> dict[str, Any]:
        """Plain data for report.json, which has no infinities: a number that is not finite is null."""
        return {
            "name": self.name,
            "meaning": self.meaning,
            "value": self.value if math.isfinite(self.value) else None,
            "unit": self.unit,
            "target": None if self.target is None else {"good": self.good, "value": self.target},
            "passed": self.passed,
        }


def table(figures: Sequence[Figure]) -> Iterator[str]:
    """The figures as lines for a terminal."""
    width = max(len(figure.meaning) for figure in figures)
    for figure in figures:
        verdict = {True: "ok", False: "MISSED", None: ""}[figure.passed]
        target = "" if figure.target is None else f"{figure.good} {_number(figure.target, figure.unit)}"
        value = _number(figure.value, figure.unit)
        yield f"  {figure.meaning:<{width}}  {value:>10}  {target:<18} {verdict}".rstrip()


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file, whole or not at all.

    Raises:
        StorageError: if it cannot be written.
    """
    write_file(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def _number(value: float, unit: str) -> str:
    text = f"{value:.0f}" if float(value).is_integer() and abs(value) >= 2 else f"{value:.4g}"
    return f"{text} {unit}".rstrip()
