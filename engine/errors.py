"""The one error tree.

Foreign exceptions are mapped to these at the boundary where they arise, and captured at one point: `engine.stage.run_stage`.

    HopForgeError
    ├── UserError            the person who started the run can mend it; printed without a traceback
    │   ├── InputError       a file is wrong: path, line, problem, remedy
    │   └── ConfigError      a setting is wrong: key, problem, remedy
    ├── RejectedError        this row is not good enough: becomes a Rejection, final
    ├── TroubleError         time-out, refused connection, 5xx: becomes a Failure, tried again on the next run
    └── InvariantError       a promise of the engine was broken: stops the run, a bug of ours
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class HopForgeError(Exception):
    """Base of every error this project raises on purpose."""


class UserError(HopForgeError):
    """Something the user can mend. `str(error)` is the whole message, remedy included."""


class InputError(UserError):
    """A file that cannot be read as what it should be."""

    def __init__(self, path: str | Path, problem: str, remedy: str, line: int | None = None) -> None:
        self.path, self.line, self.problem, self.remedy = str(path), line, problem, remedy
        place = self.path if line is None else f"{self.path}, line {line}"
        super().__init__(f"{place}: {problem}\n  → {remedy}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.problem, self.remedy, self.line)


class ConfigError(UserError):
    """A configuration key that is unknown, of the wrong type or out of range."""

    def __init__(self, key: str, problem: str, remedy: str) -> None:
        self.key, self.problem, self.remedy = key, problem, remedy
        super().__init__(f"config key '{key}': {problem}\n  → {remedy}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.key, self.problem, self.remedy)


class RejectedError(HopForgeError):
    """The row in hand is not good enough; `cause` is a value of the raising room's cause enum."""

    def __init__(self, cause: str, detail: str = "") -> None:
        self.cause, self.detail = str(cause), detail
        super().__init__(f"{cause}: {detail}" if detail else str(cause))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.cause, self.detail)


class TroubleError(HopForgeError):
    """The world did not answer; the row may succeed on another day."""

    def __init__(self, cause: str, detail: str = "") -> None:
        self.cause, self.detail = str(cause), detail
        super().__init__(f"{cause}: {detail}" if detail else str(cause))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.cause, self.detail)


class InvariantError(HopForgeError):
    """The engine broke one of its own promises, for example the accounting check."""


def nearest(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The `count` known words closest to `word`, best first; case is ignored, the known spelling is returned."""
    spelling = {candidate.lower(): candidate for candidate in sorted(known, reverse=True)}
    return [spelling[hit] for hit in difflib.get_close_matches(word.lower(), spelling, n=count, cutoff=0.5)]
