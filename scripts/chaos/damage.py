"""What a damaged disk does to files between two runs."""

from __future__ import annotations

import random
from pathlib import Path

from engine.tape.segment import MAGIC, scan

LONGEST_TEAR = 64
"""Bytes cut off at most."""


def tear(folder: Path, pattern: str, rng: random.Random) -> str | None:
    """Cut some bytes off the end of one of the files; its name, or None when there is none."""
    files = sorted(file for file in folder.glob(pattern) if file.stat().st_size > len(MAGIC) and not file.name.startswith("."))
    if not files:
        return None
    file = rng.choice(files)
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.truncate(max(len(MAGIC), size - rng.randint(1, LONGEST_TEAR)))
    return f"{file.parent.name}/{file.name}"


def count_entries(tape: Path) -> int:
    """Whole entries on a tape."""
    return sum(1 for segment in sorted(tape.glob("*.seg")) for _ in scan(segment, len(MAGIC), segment.stat().st_size))
