"""One writer's append-only file of replies, with a fixed-width key sidecar beside it.

    <name>.seg    MAGIC, then entries: body length u32 · CRC-32 u32 · key 16 B · flag u8 · body
    <name>.idx    rows of 32 bytes:    key 16 B · body offset u64 · body length u32 · flag u8 · 3 B zero

An entry is one `os.write`, so a killed process leaves whole entries and at most one torn tail. The sidecar row is
written after it; a reader that finds the segment longer than its sidecar scans the rest, and stops at the first entry
whose checksum is wrong.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError

MAGIC = b"HFTAPE01"
HEADER = struct.Struct("<II16sB")
ROW = np.dtype([("key", "V16"), ("offset", "<u8"), ("length", "<u4"), ("flag", "u1"), ("zero", "V3")])
REPLY, FAILURE = 0, 1


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a reply stands inside a segment."""

    key: bytes
    offset: int
    """Of the body, in bytes from the start of the file."""
    length: int
    flag: int


class SegmentWriter:
    """Appends replies; what `append` returned from survives a kill of the process (of the machine too with `fsync`)."""

    def __init__(self, folder: Path, name: str, *, fsync: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self._fsync = folder / f"{name}.seg", fsync
        self._segment = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._sidecar = os.open(self.path.with_suffix(".idx"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._end = 0
        self._write(self._segment, MAGIC)
        self._end = len(MAGIC)

    def append(self, key: bytes, body: bytes, flag: int = REPLY) -> Entry:
        """Write one reply.

        Raises:
            UserError: the disk is full or gone; what was written before is intact.
        """
        entry = Entry(key, self._end + HEADER.size, len(body), flag)
        self._write(self._segment, HEADER.pack(len(body), checksum(key, flag, body), key, flag) + body)
        if self._fsync:
            os.fsync(self._segment)
        self._end = entry.offset + entry.length
        row = np.array([(key, entry.offset, entry.length, flag, b"")], dtype=ROW)
        self._write(self._sidecar, row.tobytes())
        return entry

    def close(self) -> None:
        """Release the files."""
        os.close(self._segment)
        os.close(self._sidecar)

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _write(self, file: int, data: bytes) -> None:
        try:
            written = os.write(file, data)
        except OSError as error:
            raise UserError(
                f"{self.path}: the tape cannot be written ({error.strerror})\n  → free some space and run the command again"
            ) from error
        if written != len(data):
            raise UserError(f"{self.path}: the disk is full\n  → free some space and run the command again; all earlier replies are kept")


def checksum(key: bytes, flag: int, body: bytes) -> int:
    """CRC-32 over all that an entry says."""
    return zlib.crc32(body, zlib.crc32(bytes([flag]), zlib.crc32(key)))


def read_body(segment: Path, offset: int, length: int, key: bytes, flag: int) -> bytes | None:
    """The body of one entry, or None when it is torn or damaged."""
    start = offset - HEADER.size
    with segment.open("rb") as file:
        file.seek(start)
        data = file.read(HEADER.size + length)
    if len(data) < HEADER.size + length:
        return None
    size, crc, found, found_flag = HEADER.unpack_from(data)
    body = data[HEADER.size :]
    intact = (size, found, found_flag) == (length, key, flag) and crc == checksum(key, flag, body)
    return body if intact else None


def read_sidecar(segment: Path, skip: int) -> NDArray[np.void]:
    """Rows of the sidecar after the first `skip`; a torn last row is left for the next time."""
    with segment.with_suffix(".idx").open("rb") as file:
        file.seek(skip * ROW.itemsize)
        data = file.read()
    return np.frombuffer(data[: len(data) // ROW.itemsize * ROW.itemsize], dtype=ROW)


def scan(segment: Path, start: int = len(MAGIC)) -> Iterator[Entry]:
    """Intact entries from byte `start` on; ends at the first torn or damaged one."""
    with segment.open("rb") as file:
        file.seek(start)
        offset = start
        while len(header := file.read(HEADER.size)) == HEADER.size:
            length, crc, key, flag = HEADER.unpack(header)
            body = file.read(length)
            if len(body) < length or crc != checksum(key, flag, body):
                return
            yield Entry(key, offset + HEADER.size, length, flag)
            offset += HEADER.size + length
