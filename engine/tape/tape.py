"""The tape: each effect is performed once, written before it is used, and replayed ever after."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from engine.errors import RejectedError, TroubleError
from engine.records import canonical_json
from engine.tape.key import Effect
from engine.tape.lookup import Lookup
from engine.tape.segment import FAILURE, REPLY, SegmentWriter

REFRESH_S = 0.2
"""Rows that start within this time share one look at the other writers' sidecars: a reply is at most this stale."""


class TapeMode(StrEnum):
    """What the tape does."""

    RECORD = "record"
    """Replay what is there, perform and write the rest. Recorded failures are performed again."""
    REPLAY = "replay"
    """Replay only, failures included; a miss is trouble with the cause `tape_miss`. Nothing is performed or written."""
    OFF = "off"
    """Perform everything, write nothing."""


class Tape:
    """One process's end of a run's tape. Picklable before use: folder and mode travel, files are opened in `open`.

    On a local or shared POSIX folder a reply is safe once `perform` has returned here: a killed process repays at most
    the calls that were in flight. Object stores cannot append and are refused in this version.
    """

    def __init__(self, folder: str, mode: TapeMode = TapeMode.RECORD, *, fsync: bool = False) -> None:
        self._folder, self._mode, self._fsync = folder, mode, fsync
        self._lookup: Lookup | None = None
        self._writer: SegmentWriter | None = None
        self._flying: dict[bytes, asyncio.Future[tuple[bytes, int]]] = {}
        self._refreshed = 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._folder, self._mode, self._fsync)

    def open(self) -> None:
        """Read what earlier writers left, torn tails skipped."""
        self._lookup = Lookup(Path(self._folder))
        if self._mode != TapeMode.OFF:
            self._lookup.recover()

    def refresh(self) -> None:
        """See what other actors have paid for since; call when a row starts."""
        if self._mode == TapeMode.RECORD and time.monotonic() - self._refreshed > REFRESH_S:
            self._opened().refresh()
            self._refreshed = time.monotonic()

    def close(self) -> None:
        """Release the segment."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def perform(self, effect: Effect, act: Callable[[], Awaitable[Any]]) -> Any:
        """The reply to `effect`: replayed when it is on the tape, else performed by `act` and written first.

        Args:
            act: performs the effect; its result is JSON-ready. Concurrent equal effects perform it once.

        Raises:
            TroubleError, RejectedError: what `act` raised, now or when it was recorded; or `tape_miss` in replay.
        """
        if self._mode == TapeMode.OFF:
            return await act()
        key = effect.key
        found = self._opened().get(key, failures=self._mode == TapeMode.REPLAY)
        if found is None and self._mode == TapeMode.REPLAY:
            raise TroubleError("tape_miss", f"{effect.kind} call of stage {effect.stage} was never recorded (key {key.hex()})")
        if found is None:
            found = await self._once(key, act)
        return _decode(*found)

    async def _once(self, key: bytes, act: Callable[[], Awaitable[Any]]) -> tuple[bytes, int]:
        if key in self._flying:
            return await asyncio.shield(self._flying[key])
        future = self._flying[key] = asyncio.get_running_loop().create_future()
        try:
            body, flag = await _encode(act)
            self._write(key, body, flag)
            future.set_result((body, flag))
            return body, flag
        except BaseException as error:
            future.set_exception(error)
            future.exception()  # whoever waits gets it; nobody waiting is no fault
            raise
        finally:
            del self._flying[key]

    def _write(self, key: bytes, body: bytes, flag: int) -> None:
        if self._writer is None:
            self._writer = SegmentWriter(Path(self._folder), f"{time.time_ns():020d}-{os.urandom(4).hex()}", fsync=self._fsync)
        self._opened().add(self._writer.path, self._writer.append(key, body, flag))

    def _opened(self) -> Lookup:
        assert self._lookup is not None, "open() first"
        return self._lookup


def _rebuild(folder: str, mode: TapeMode, fsync: bool) -> Tape:
    return Tape(folder, mode, fsync=fsync)


async def _encode(act: Callable[[], Awaitable[Any]]) -> tuple[bytes, int]:
    try:
        return canonical_json(await act()).encode(), REPLY
    except (TroubleError, RejectedError) as error:
        kind = "trouble" if isinstance(error, TroubleError) else "rejected"
        return canonical_json({"error": kind, "cause": error.cause, "detail": error.detail}).encode(), FAILURE


def _decode(body: bytes, flag: int) -> Any:
    value = json.loads(body)
    if flag == REPLY:
        return value
    raise (TroubleError if value["error"] == "trouble" else RejectedError)(value["cause"], value["detail"])
