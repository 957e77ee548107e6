"""Key → place, over all segments of a tape: sorted arrays for what is old, a dict for what is new.

Which entry a key stands for depends on the entries alone, not on the order in which they were seen: a reply before a
failure, then the smallest segment name, then the smallest offset. Segment names start with the time their writer wrote
first, so of two processes that paid for the same key at once all later readers take the elder writer's reply.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.tape.segment import FAILURE, MAGIC, Entry, check_magic, read_body, read_sidecar, scan, to_rows

MERGE_AT = 32_768
"""Entries in the dict before they are merged into the sorted arrays. The dict takes some 180 bytes an entry and the arrays 33,
but a merge into a million takes 0.4 s."""

PLACE = np.dtype([("segment", "<u4"), ("offset", "<u8"), ("length", "<u4"), ("flag", "u1")])

Batch = tuple[int, NDArray[np.void]]
"""Number of a segment, and rows of its sidecar."""


class Place(NamedTuple):
    """An entry and the number of the segment it is in."""

    segment: int
    offset: int
    length: int
    flag: int


@dataclass(slots=True)
class Progress:
    """How far one segment has been read."""

    number: int
    size: int = 0
    """Of the file, when it was last looked at."""
    end: int = len(MAGIC)
    """Where the last entry taken ends."""
    rows: int = 0
    """Entries taken, which is how many sidecar rows can be skipped; a wrong guess costs time only."""


class Lookup:
    """Finds replies by key. Not thread-safe; one per event loop."""

    def __init__(self, folder: Path, *, sidecars: bool = True) -> None:
        """`sidecars=False` reads and checks every entry itself: slow, and right whatever the sidecars say."""
        self._folder, self._sidecars = folder, sidecars
        self._damaged: set[str] = set()
        """Segments whose sidecar is not believed, because an entry was not what it says."""
        self._forget()

    def __len__(self) -> int:
        return len(self._keys) + len(self._recent)

    def refresh(self) -> None:
        """Take in what any writer has written since the last time, indexed or not; one `stat` per segment when that is nothing.

        Raises:
            InputError: a segment is of another version.
        """
        try:
            self._refresh()
        except FileNotFoundError:  # compacted since the folder was listed
            self._forget()
            self.refresh()

    def add(self, segment: Path, entry: Entry) -> None:
        """Note an entry this process has just written."""
        progress = self._met(segment.name)
        progress.size = progress.end = entry.end
        progress.rows += 1
        self._add(entry.key, Place(progress.number, entry.offset, entry.length, entry.flag))

    def get(self, key: bytes, *, failures: bool) -> tuple[bytes, int] | None:
        """Body and flag of the reply under `key`; a recorded failure counts only when `failures` is set."""
        place = self._find(key)
        if place is None or (place.flag == FAILURE and not failures):
            return None
        name = self._names[place.segment]
        body = read_body(self._folder / name, place.offset, place.length, key, place.flag)
        if body is not None:
            return body, place.flag
        if (name in self._damaged or not self._sidecars) and (self._folder / name).exists():
            return None
        self._damaged.add(name)  # or compacted away: read all again, this one entry by entry; another one may hold the key
        self._forget()
        self.refresh()
        return self.get(key, failures=failures)

    def keys(self) -> list[bytes]:
        """All keys, sorted."""
        return sorted([*self._recent, *_split(self._keys)])

    def stands(self, segment: Path, entry: Entry) -> bool:
        """Whether this entry is the one its key stands for."""
        place = self._find(entry.key)
        return place is not None and (self._names[place.segment], place.offset) == (segment.name, entry.offset)

    def _forget(self) -> None:
        self._names: list[str] = []
        self._progress: dict[str, Progress] = {}
        self._recent: dict[bytes, Place] = {}
        self._keys: NDArray[np.bytes_] = np.empty(0, dtype="S16")
        self._places: NDArray[np.void] = np.empty(0, dtype=PLACE)

    def _refresh(self) -> None:
        batches: list[Batch] = []
        for name, size in _segment_sizes(self._folder).items():
            progress = self._progress.get(name)
            if progress is None or progress.size != size:
                batches += self._read(name, size)
        if len(self._recent) + sum(len(rows) for _, rows in batches) > MERGE_AT:
            self._merge(batches)
        else:
            for number, rows in batches:
                self._add_rows(number, rows)

    def _met(self, name: str) -> Progress:
        if name not in self._progress:
            self._progress[name] = Progress(len(self._names))
            self._names.append(name)
        return self._progress[name]

    def _read(self, name: str, size: int) -> Iterator[Batch]:
        """What stands in a segment beyond the part already taken: by its sidecar, and where that ends by its entries."""
        segment = self._folder / name
        if size < len(MAGIC):  # killed, or not yet come to write its first bytes
            return
        if name not in self._progress:
            check_magic(segment)
        progress = self._met(name)
        progress.size = size
        if self._sidecars and name not in self._damaged:
            yield from self._take(progress, read_sidecar(segment, progress.rows, progress.end, size))
        if progress.end < size:
            yield from self._take(progress, to_rows(scan(segment, progress.end, size)))

    def _take(self, progress: Progress, rows: NDArray[np.void]) -> Iterator[Batch]:
        if len(rows):
            progress.rows += len(rows)
            progress.end = int(rows["offset"][-1]) + int(rows["length"][-1])
            yield progress.number, rows

    def _add_rows(self, number: int, rows: NDArray[np.void]) -> None:
        columns = (rows[name].tolist() for name in ("offset", "length", "flag"))
        for key, offset, length, flag in zip(_split(rows["key"]), *columns, strict=True):
            self._add(key, Place(number, offset, length, flag))

    def _add(self, key: bytes, place: Place) -> None:
        known = self._find(key)
        if known is not None and self._rank(known) <= self._rank(place):
            return
        if known is None or key in self._recent:
            self._recent[key] = place
        else:
            self._places[self._position(key)] = (place.segment, place.offset, place.length, place.flag)

    def _rank(self, place: Place) -> tuple[int, str, int]:
        """Of two entries under one key the lower stands."""
        return place.flag, self._names[place.segment], place.offset

    def _find(self, key: bytes) -> Place | None:
        if key in self._recent:
            return self._recent[key]
        if not len(self._keys):
            return None
        position = self._position(key)
        if self._keys[position : position + 1].tobytes() != key:
            return None
        return Place(*self._places[position].tolist())

    def _position(self, key: bytes) -> int:
        return int(self._keys.searchsorted(np.bytes_(key)))

    def _merge(self, batches: list[Batch]) -> None:
        """Sort the dict and new rows into the arrays, and keep of each key the entry of lowest rank."""
        recent = [(place.segment, place.offset, place.length, place.flag) for place in self._recent.values()]
        keys = [self._keys, np.frombuffer(b"".join(self._recent), dtype="S16"), *(rows["key"] for _, rows in batches)]
        places = [self._places, np.array(recent, dtype=PLACE), *(_places(number, rows) for number, rows in batches)]
        all_keys, all_places = np.concatenate(keys), np.concatenate(places)
        by_name = np.argsort(np.argsort(np.array(self._names, dtype=str), kind="stable"))
        order = np.lexsort((all_places["offset"], by_name[all_places["segment"]], all_places["flag"], all_keys))
        all_keys = all_keys[order]
        first = np.concatenate([[True], all_keys[1:] != all_keys[:-1]])
        self._keys, self._places, self._recent = all_keys[first], all_places[order[first]], {}


def _segment_sizes(folder: Path) -> dict[str, int]:
    """Segment name → bytes, sorted by name; empty when there is no folder."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        sizes = {entry.name: entry.stat().st_size for entry in entries if entry.name.endswith(".seg")}
    return dict(sorted(sizes.items()))


def _places(number: int, rows: NDArray[np.void]) -> NDArray[np.void]:
    places = np.empty(len(rows), dtype=PLACE)
    places["segment"] = number
    for name in ("offset", "length", "flag"):
        places[name] = rows[name]
    return places


def _split(keys: NDArray[np.bytes_]) -> list[bytes]:
    """Numpy drops trailing zero bytes when it hands out a string; keys keep theirs."""
    data = keys.tobytes()
    return [data[start : start + 16] for start in range(0, len(data), 16)]
