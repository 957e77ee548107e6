"""One line per measurement: what was measured, the limit or peer beside it, the ratio, the target, and whether it is met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measurement. `target` is in words; `least` and `most` are its two numbers, on the value or on the ratio."""

    case: str
    what: str
    value: float
    unit: str
    limit: float | None = None
    """In the same unit, from the same run (or a peer's published figure, as `against` says)."""
    against: str = ""
    least: float | None = None
    most: float | None = None
    of_ratio: bool = False
    """Whether the target speaks of the ratio to the limit, or of the value itself."""

    @property
    def ratio(self) -> float | None:
        """Value over limit."""
        return None if self.limit is None else self.value / self.limit

    @property
    def target(self) -> str:
        """The target in words; empty for a line of information."""
        unit = "× the limit" if self.of_ratio else self.unit
        ends = [f"{sign} {_number(end)} {unit}" for sign, end in (("≥", self.least), ("≤", self.most)) if end is not None]
        return ", ".join(ends)

    @property
    def ok(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.least is None and self.most is None:
            return None
        number = self.ratio if self.of_ratio else self.value
        assert number is not None
        return (self.least is None or number >= self.least) and (self.most is None or number <= self.most)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        told = {"case": self.case, "what": self.what, "value": self.value, "unit": self.unit, "against": self.against}
        return told | {"limit": self.limit, "ratio": self.ratio, "target": self.target, "ok": self.ok}


def new_table(title: str) -> Table:
    """An empty table with the columns of `cells`."""
    table = Table(title=title, title_justify="left", title_style="")
    for heading in ("case", "measured", "value", "limit or peer", "its value", "ratio", "target", ""):
        table.add_column(heading, justify="right" if heading in ("value", "its value", "ratio") else "left")
    return table


def cells(line: Line) -> list[str]:
    """A line as a row of the table."""
    limit = "" if line.limit is None else f"{_number(line.limit)} {line.unit}"
    ratio = "" if line.ratio is None else _number(line.ratio)
    verdict = {True: "ok", False: "short", None: ""}[line.ok]
    return [line.case, line.what, f"{_number(line.value)} {line.unit}", line.against, limit, ratio, line.target, verdict]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
