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

from engine.errors import ConfigError, RejectedError, TroubleError, UserError
from engine.records import canonical_json
from engine.tape.key import Effect
from engine.tape.lock import lock_for_writing
from engine.tape.lookup import Lookup
from engine.tape.segment import FAILURE, REPLY, SegmentWriter

REFRESH_S = 0.2
"""Rows that start within this time share one look at the other writers' segments: a reply is at most this stale."""

Performed = tuple[bytes, int]
"""Body and flag, as written."""


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

    Two processes that perform the same effect at the same moment both write it; which reply stands for all later
    readers is told in `lookup.py`. On NFS the others' replies may show some seconds late, which costs only such doubles.
    """

    def __init__(self, folder: str, mode: TapeMode = TapeMode.RECORD, *, fsync: bool = False) -> None:
        self.mode = mode
        self._folder, self._fsync = folder, fsync
        self._lookup: Lookup | None = None
        self._lock: int | None = None
        self._writer: SegmentWriter | None = None
        self._unwritable: UserError | None = None
        """Why the last reply could not be written. From then on nothing is paid for: its reply would be lost too."""
        self._flying: dict[bytes, asyncio.Future[Performed | None]] = {}
        self._refreshed = 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._folder, self.mode, self._fsync)

    def open(self) -> None:
        """Read what earlier writers left, torn tails skipped; to record, make sure first that the folder can be written.

        Raises:
            ConfigError: the folder is a URL.
            UserError: it cannot be written, or is being compacted.
            InputError: it holds a segment of another version.
        """
        if self.mode == TapeMode.OFF:
            return
        folder = local_folder(self._folder)
        if self.mode == TapeMode.RECORD:
            self._lock = lock_for_writing(folder)
        self._lookup = Lookup(folder)
        self._lookup.refresh()

    def refresh(self) -> None:
        """See what other actors have paid for since; call when a row starts."""
        if self.mode == TapeMode.RECORD and time.monotonic() - self._refreshed > REFRESH_S:
            self._opened().refresh()
            self._refreshed = time.monotonic()

    def close(self) -> None:
        """Release the segment and the lock."""
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            os.close(self._lock)
        self._writer = self._lock = self._lookup = None

    async def perform(self, effect: Effect, act: Callable[[], Awaitable[Any]]) -> Any:
        """The reply to `effect`: replayed when it is on the tape, else performed by `act` and written first.

        Args:
            act: performs the effect; its result is JSON-ready. Concurrent equal effects perform it once.

        Raises:
            TroubleError, RejectedError: what `act` raised, now or when it was recorded; or `tape_miss` in replay.
            UserError: the reply cannot be written; every earlier one is kept.
        """
        if self.mode == TapeMode.OFF:
            return await act()
        key = effect.key
        found = self._opened().get(key, failures=self.mode == TapeMode.REPLAY)
        if found is None and self.mode == TapeMode.REPLAY:
            raise TroubleError("tape_miss", f"{effect.kind} call of stage {effect.stage} was never recorded (key {key.hex()})")
        if found is None:
            self.refresh()  # a look at the folder costs less than any call
            found = self._opened().get(key, failures=False) or await self._once(key, effect, act)
        return _decode(*found)

    async def _once(self, key: bytes, effect: Effect, act: Callable[[], Awaitable[Any]]) -> Performed:
        while key in self._flying:
            found = await asyncio.shield(self._flying[key])
            if found is not None:
                return found
        if self._unwritable is not None:
            raise self._unwritable
        future = self._flying[key] = asyncio.get_running_loop().create_future()
        try:
            body, flag = await _encode(effect, act)
            self._write(key, body, flag)
            future.set_result((body, flag))
            return body, flag
        except asyncio.CancelledError:
            future.set_result(None)  # this row's time is up, not theirs: the first of those who wait performs it instead
            raise
        except BaseException as error:
            future.set_exception(error)
            future.exception()  # whoever waits gets it; nobody waiting is no fault
            raise
        finally:
            del self._flying[key]

    def _write(self, key: bytes, body: bytes, flag: int) -> None:
        lookup = self._opened()
        try:
            if self._writer is None:
                name = f"{time.time_ns():020d}-{os.urandom(4).hex()}"
                self._writer = SegmentWriter(local_folder(self._folder), name, fsync=self._fsync)
            lookup.add(self._writer.path, self._writer.append(key, body, flag))
        except UserError as error:
            self._unwritable = error
            raise

    def _opened(self) -> Lookup:
        assert self._lookup is not None, "open() first"
        return self._lookup


def local_folder(folder: str) -> Path:
    """The folder as a path.

    Raises:
        ConfigError: it is a URL: object stores cannot append, and the tape writes each reply before it is used.
    """
    if "://" in folder:
        remedy = "set tape.dir to a local folder, or to one that all nodes share by POSIX means (NFS, Lustre)"
        raise ConfigError("tape.dir", f"'{folder}' is a URL, and object stores cannot append", remedy)
    return Path(folder)


def _rebuild(folder: str, mode: TapeMode, fsync: bool) -> Tape:
    return Tape(folder, mode, fsync=fsync)


async def _encode(effect: Effect, act: Callable[[], Awaitable[Any]]) -> Performed:
    try:
        told, flag = {"reply": await act()}, REPLY
    except (TroubleError, RejectedError) as error:
        kind = "trouble" if isinstance(error, TroubleError) else "rejected"
        told, flag = {"error": {"class": kind, "cause": error.cause, "detail": error.detail}}, FAILURE
    # Pages hold halves of surrogate pairs now and then; json.loads reads them back the same way.
    return canonical_json({"effect": effect.label} | told).encode(errors="surrogatepass"), flag


def _decode(body: bytes, flag: int) -> Any:
    value = json.loads(body)
    if flag == REPLY:
        return value["reply"]
    error = value["error"]
    raise (TroubleError if error["class"] == "trouble" else RejectedError)(error["cause"], error["detail"])
