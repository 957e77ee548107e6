"""What people say of trajectories: accepted or rejected, and why, kept beside the rows, one append-only file per reviewer.

A mark is one line, appended in one write, so that two windows, or two people, never lose each other's. A reviewer's last line on a
trajectory is what counts; what was said before stays in the file.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.errors import InputError
from engine.records import derive_id, from_dict, to_dict
from engine.storage import Storage

FOLDER = "marks"
MOST_NOTE = 1_500
"""Characters of a note: a line with it goes out in one write."""
_REVIEWER = re.compile(r"[^\W_][\w .,'@+-]{0,39}")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One reviewer's word on one trajectory."""

    trajectory_id: str
    reviewer: str
    accepted: bool | None
    """None: neither; with an empty note, an earlier mark taken back."""
    note: str
    when: str
    """UTC, as `2026-01-31T12:00:00Z`."""


@dataclass(slots=True)
class Marked:
    """What all reviewers together say of a trajectory."""

    marks: list[Mark] = field(default_factory=list)
    """One per reviewer, in the order of their names."""

    @property
    def accepted(self) -> bool | None:
        """By the most reviewers; None where as many say the one as the other, or nobody says either."""
        balance = sum(1 if mark.accepted else -1 for mark in self.marks if mark.accepted is not None)
        return None if balance == 0 else balance > 0

    @property
    def is_disputed(self) -> bool:
        """Whether reviewers differ."""
        return len({mark.accepted for mark in self.marks} - {None}) > 1


class MarkBook:
    """The marks in a run directory. What was read is kept while the files do not grow."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lengths: dict[str, int] = {}
        self._marked: dict[str, Marked] = {}

    def add(self, mark: Mark) -> None:
        """Append a mark.

        Raises:
            InputError: the reviewer's name or the note is none that can be kept.
            UserError: the place cannot be written.
        """
        if not _REVIEWER.fullmatch(mark.reviewer):
            raise InputError("reviewer", f"{mark.reviewer[:60]!r} is no name", "give a name or initials of up to 40 letters")
        if len(mark.note) > MOST_NOTE:
            raise InputError("note", f"has {len(mark.note):,} characters", f"keep it to {MOST_NOTE:,}")
        line = json.dumps(to_dict(mark), ensure_ascii=False, sort_keys=True)
        name = _file(mark.reviewer)
        torn = self._storage.exists(name) and not self._storage.read(name).endswith(b"\n")
        self._storage.append(name, (("\n" if torn else "") + line + "\n").encode(errors="replace"))

    def read(self) -> Mapping[str, Marked]:
        """Trajectory id → what is said of it now, in the order of ids.

        Raises:
            InputError: a line of a file is no mark.
        """
        lengths = self._storage.lengths(FOLDER)
        if lengths != self._lengths:
            self._marked = together(mark for name in sorted(lengths) if name.endswith(".jsonl") for mark in _lines(self._storage, name))
            self._lengths = lengths
        return self._marked


def together(marks: Iterable[Mark]) -> dict[str, Marked]:
    """Trajectory id → the last mark of each reviewer; a mark that says nothing takes the one before it back."""
    last = {(mark.trajectory_id, mark.reviewer): mark for mark in marks}
    found: dict[str, Marked] = defaultdict(Marked)
    for key in sorted(last):
        if last[key].accepted is not None or last[key].note:
            found[key[0]].marks.append(last[key])
    return dict(found)


def _file(reviewer: str) -> str:
    """Names that are no file names everywhere are kept inside only."""
    return f"{FOLDER}/{reviewer if _PLAIN.fullmatch(reviewer) else derive_id(reviewer)[:16]}.jsonl"


def _lines(storage: Storage, name: str) -> Sequence[Mark]:
    """A line torn by a kill is left out."""
    marks = []
    for number, line in enumerate(storage.read(name).decode(errors="replace").split("\n"), 1):
        try:
            value = json.loads(line)
        except json.JSONDecodeError:
            continue
        try:
            marks.append(from_dict(value, Mark))
        except ValueError as error:
            problem = f"line {number} is no mark: {str(error).splitlines()[0]}"
            raise InputError(storage.path(name), problem, "mend the line or take it out") from None
    return marks
