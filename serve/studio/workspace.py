"""The folder of run directories, as the browser may see it: names, never paths."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from engine.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=,-]{0,99}")
_DEPTH = 2
"""`tour/rows` is a run within a run."""
UPLOADS = ".studio/uploads"


class RunKind(StrEnum):
    """What a run directory is of."""

    SYNTHESIS = "synthesis"
    EVALUATION = "evaluation"
    TRAINING = "training"
    TOUR = "tour"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run directory."""

    name: str
    """Relative to the workspace, `/` between parts."""
    path: Path
    kind: RunKind
    modified: float
    """Seconds since the epoch."""


class Workspace:
    """All runs under one folder."""

    def __init__(self, root: str) -> None:
        self.root = Path(root).absolute()

    def runs(self) -> list[RunFolder]:
        """What can be opened, the latest first."""
        found = [self._describe(path) for depth in range(1, _DEPTH + 1) for path in self.root.glob("/".join("*" * depth))]
        return sorted((run for run in found if run), key=lambda run: (-run.modified, run.name))

    def open(self, name: str) -> RunFolder:
        """The run of that name.

        Raises:
            InputError: there is none.
        """
        found = self._describe(self.place(name))
        if found is None:
            raise InputError(name, "is no run directory", f"choose one of those in {self.root.name}/")
        return found

    def place(self, name: str) -> Path:
        """Where a run of that name is or would be.

        Raises:
            InputError: the name leads elsewhere.
        """
        parts = name.split("/")
        path = self.root.joinpath(*parts)
        known = len(parts) <= _DEPTH and all(_NAME.fullmatch(part) for part in parts)
        if not known or not path.resolve().is_relative_to(self.root.resolve()):
            problem = "is no name of a run"
            raise InputError(name[:100], problem, "use letters, digits, dots, dashes and underscores, up to 100 of them")
        return path

    def keep_upload(self, name: str, content: bytes) -> Path:
        """A file that somebody uploaded, under a name made of its content; only the ending is taken from theirs."""
        ending = Path(name).suffix.lower()
        path = self.root / UPLOADS / f"{sha256(content).hexdigest()[:16]}{ending if ending.isascii() and ending[1:].isalnum() else ''}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def _describe(self, path: Path) -> RunFolder | None:
        name = path.relative_to(self.root).as_posix()
        inside = all(_NAME.fullmatch(part) for part in name.split("/")) and path.resolve().is_relative_to(self.root.resolve())
        if not inside or not (path / "config.yaml").is_file():
            return None
        return RunFolder(name, path, _kind(path), (path / "config.yaml").stat().st_mtime)


def _kind(path: Path) -> RunKind:
    """From the files that only one kind has."""
    if (path / "steps.json").exists():
        return RunKind.TOUR
    if (path / "score.json").exists() or (path / "graded").exists():
        return RunKind.EVALUATION
    if (path / "candidates").exists() or (path / "questions").exists() or (path / "export").exists():
        return RunKind.SYNTHESIS
    if (path / "checkpoints").exists() or (path / "model").exists():
        return RunKind.TRAINING
    return RunKind.OTHER
