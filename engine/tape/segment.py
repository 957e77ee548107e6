"""One writer's append-only file of replies, with a fixed-width key sidecar beside it.

    <name>.seg    MAGIC, then entries: body length u32 · CRC-32 u32 · key 16 B · flag u8 · body
    <name>.idx    rows of 32 bytes:    key 16 B · body offset u64 · body length u32 · flag u8 · check 3 B

The segment is the truth and the sidecar a way to read it faster. An entry is written in one go and its sidecar row
after it, so a killed process leaves whole entries and at most one torn tail. Readers believe the sidecar as far as its
rows check and follow one another without a gap, and read the segment itself from there on.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError, UserError

MAGIC = b"HFTAPE01"
HEADER = struct.Struct("<II16sB")
ROW = np.dtype([("key", "S16"), ("offset", "<u8"), ("length", "<u4"), ("flag", "u1"), ("check", "V3")])
REPLY, FAILURE = 0, 1

_WORDS = struct.Struct("<4Q")
"""A sidecar row as four words; the top 24 bits of the last one are its check."""
_KEPT = (1 << 40) - 1
_WRAP = (1 << 64) - 1


class Entry(NamedTuple):
    """Where a reply stands inside a segment."""

    key: bytes
    offset: int
    """Of the body, in bytes from the start of the file."""
    length: int
    flag: int

    @property
    def end(self) -> int:
        """Where the next entry starts."""
        return self.offset + self.length


class SegmentWriter:
    """Appends replies; what `append` returned from survives a kill of the process (of the machine too with `fsync`)."""

    def __init__(self, folder: Path, name: str, *, fsync: bool = False) -> None:
        """Start a new segment.

        Raises:
            UserError: the folder cannot be written.
        """
        self.path, self._fsync = folder / f"{name}.seg", fsync
        self._end = self._rows = 0
        with contextlib.ExitStack() as opened, told(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            self._segment, self._sidecar = (_create(path, opened) for path in (self.path, self.path.with_suffix(".idx")))
            self._write(self._segment, MAGIC, 0)
            if fsync:
                fsync_folder(folder)
            self._files = opened.pop_all()
        self._end = len(MAGIC)

    def append(self, key: bytes, body: bytes, flag: int = REPLY) -> Entry:
        """Write one reply.

        Raises:
            UserError: the disk is full or gone; what was written before is intact.
        """
        entry = Entry(key, self._end + HEADER.size, len(body), flag)
        self._write(self._segment, HEADER.pack(len(body), checksum(key, flag, body), key, flag) + body, self._end)
        self._end = entry.end
        if self._fsync:
            with told(self.path):
                os.fsync(self._segment)
        self._write(self._sidecar, _row(entry), self._rows * ROW.itemsize)
        self._rows += 1
        return entry

    def sync(self) -> None:
        """Wait until both files are on the disk.

        Raises:
            UserError: they cannot be.
        """
        with told(self.path):
            os.fsync(self._segment)
            os.fsync(self._sidecar)

    def close(self) -> None:
        """Release the files."""
        self._files.close()

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _write(self, file: int, data: bytes, position: int) -> None:
        """All of `data` at `position`, or nothing: what a full disk took of it is cut off again."""
        done = 0
        try:
            while done < len(data):
                done += os.pwrite(file, data[done:], position + done)
        except OSError as error:
            with contextlib.suppress(OSError):  # the tail then stays torn, and the next entry is written over it
                os.ftruncate(file, position)
            with told(self.path):
                raise error


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn a failing write inside the block into a message for people.

    Raises:
        UserError: instead of OSError.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: the tape cannot be written ({error.strerror})\n"
            "  → free some space (or make the folder writable) and run the same command again; every earlier reply is kept"
        ) from error


def fsync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def checksum(key: bytes, flag: int, body: bytes) -> int:
    """CRC-32 over all that an entry says."""
    return zlib.crc32(body, zlib.crc32(bytes([flag]), zlib.crc32(key)))


def check_magic(segment: Path) -> None:
    """Refuse what is not ours.

    Raises:
        InputError: the file is no segment, or of another version.
    """
    with segment.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            remedy = "move it out of the folder; what only it holds is paid for again"
            raise InputError(segment, f"is no tape segment of version {MAGIC.decode()}", remedy)


def read_body(segment: Path, offset: int, length: int, key: bytes, flag: int) -> bytes | None:
    """The body of one entry, or None when it is torn, damaged or gone."""
    try:
        file = os.open(segment, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        data = os.pread(file, HEADER.size + length, offset - HEADER.size)
    finally:
        os.close(file)
    body = data[HEADER.size :]
    intact = len(body) == length and data[: HEADER.size] == HEADER.pack(length, checksum(key, flag, body), key, flag)
    return body if intact else None


def read_sidecar(segment: Path, skip: int, start: int, size: int) -> NDArray[np.void]:
    """Rows after the first `skip`, as far as they check and lie without a gap between bytes `start` and `size` of the segment."""
    rows, good = _read_rows(segment, skip)
    ends = rows["offset"] + rows["length"]
    starts = np.concatenate([np.array([start], dtype=np.uint64), ends[:-1]])[: len(rows)]
    good &= (rows["offset"] == starts + np.uint64(HEADER.size)) & (ends <= size)
    return rows if good.all() else rows[: int(good.argmin())]


def scan(segment: Path, start: int, size: int) -> Iterator[Entry]:
    """Intact entries between bytes `start` and `size`, read from the segment itself.

    Damage inside a segment (never made by a kill, which tears only the end) is stepped over: to the next entry the
    sidecar knows, or else by the length the damaged entry states.
    """
    known: NDArray[np.uint64] | None = None
    with segment.open("rb") as file:
        while start + HEADER.size <= size:
            length, entry = _read_entry(file, start, size)
            if entry is not None:
                yield entry
                start = entry.end
                continue
            if known is None:
                rows, good = _read_rows(segment, 0)
                known = np.sort(rows["offset"][good]) - np.uint64(HEADER.size)
            later = known[int(np.searchsorted(known, np.uint64(start), side="right")) :]
            start = int(later[0]) if len(later) else start + HEADER.size + length


def to_rows(entries: Iterable[Entry]) -> NDArray[np.void]:
    """Entries as sidecar rows."""
    return np.frombuffer(b"".join(map(_row, entries)), dtype=ROW)


def _create(path: Path, opened: contextlib.ExitStack) -> int:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    opened.callback(os.close, file)
    return file


def _read_entry(file: BinaryIO, start: int, size: int) -> tuple[int, Entry | None]:
    """The length an entry states, and the entry when it is whole and undamaged. Never reads beyond `size`."""
    file.seek(start)
    header = file.read(HEADER.size).ljust(HEADER.size, b"\0")  # shorter where a live writer has just cut off a torn tail
    length, crc, key, flag = HEADER.unpack(header)
    entry = Entry(key, start + HEADER.size, length, flag)
    if entry.end > size or checksum(key, flag, file.read(length)) != crc:
        return length, None
    return length, entry


def _row(entry: Entry) -> bytes:
    *words, last = *struct.unpack("<2Q", entry.key), entry.offset, entry.length | entry.flag << 32
    return _WORDS.pack(*words, last | _check(*words, last) << 40)


def _read_rows(segment: Path, skip: int) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
    """Whole rows of the sidecar after the first `skip`, and which of them check; none when there is no sidecar."""
    try:
        with segment.with_suffix(".idx").open("rb") as file:
            file.seek(skip * ROW.itemsize)
            data = file.read()
    except FileNotFoundError:
        data = b""
    data = data[: len(data) // ROW.itemsize * ROW.itemsize]
    *words, last = np.frombuffer(data, dtype="<u8").reshape(-1, 4).T
    return np.frombuffer(data, dtype=ROW), _check(*words, last & _KEPT) == last >> 40


def _check(*words: Any) -> Any:
    """24 bits that depend on every bit of a row: multiply and fold, as in MurmurHash's finaliser.

    Words are ints (one row) or uint64 arrays (a million rows in milliseconds).
    """
    mixed: Any = 0x9E3779B97F4A7C15
    for word in words:
        mixed = (mixed ^ word) * 0xFF51AFD7ED558CCD & _WRAP
        mixed ^= mixed >> 32
    return mixed >> 40
