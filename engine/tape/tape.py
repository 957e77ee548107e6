"""The tape: each effect is performed once, written before it is used, and replayed ever after."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
import weakref
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import PydanticSerializationError, to_json

from engine.errors import RejectedError, TroubleError, UserError
from engine.records import canonical_json, from_dict, to_dict
from engine.tape.key import Effect
from engine.tape.lock import claimed, lock_for_writing, open_claims
from engine.tape.lookup import Lookup
from engine.tape.objects import PULL_S, PUT_BYTES, PUT_S, ObjectTape, is_url
from engine.tape.seen import note
from engine.tape.segment import FAILURE, REPLY, SegmentWriter

REFRESH_S = 0.2
"""Rows that start within this time share one look at the other writers' segments: a reply is at most this stale."""


class Performed(NamedTuple):
    """An effect as it is written."""

    body: bytes
    flag: int
    made: Any = None
    """The record that `act` made just now; None: read the body."""


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
    the calls that were in flight. On an object store (the folder is a URL) it is safe once its segment is put: when that is
    full or old, before rows are committed, and at the end; see `objects.py`.

    Two processes that perform the same effect of a row at the same moment both write it; which reply stands for all later
    readers is told in `lookup.py`. Effects that all rows share (an empty scope) are performed by one process on a folder with
    file locks, and the others wait for its reply. On NFS replies may show some seconds late, which costs only such doubles.
    """

    def __init__(self, folder: str, mode: TapeMode = TapeMode.RECORD, *, fsync: bool = False) -> None:
        self.mode, self.folder = mode, folder
        self._fsync = fsync
        self._objects: ObjectTape | None = None
        self._lookup: Lookup | None = None
        self._locks = contextlib.ExitStack()
        self._claims: int | None = None
        self._writer: SegmentWriter | None = None
        self._putting: dict[Path, asyncio.Task[None]] = {}
        """Finished segments that are not yet known to be on the object store."""
        self._unwritable: UserError | None = None
        """Why the last reply could not be written. From then on nothing is paid for: its reply would be lost too."""
        self._flying: dict[bytes, asyncio.Future[Performed | None]] = {}
        self._refreshed = float("-inf")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.folder, self.mode, self._fsync)

    def open(self) -> None:
        """Read what earlier writers left, torn tails skipped; to record, make sure first that the folder can be written.

        Opening twice is opening once: all models and tools of a stage share one tape, and each opens it.

        Raises:
            UserError: the folder cannot be written or reached, or is being compacted.
            InputError: it holds a segment of another version.
        """
        if self.mode == TapeMode.OFF or self._lookup is not None:
            return
        if is_url(self.folder):
            self._objects = ObjectTape(self.folder)
            _ON_OBJECT_STORES.add(self)
        elif self.mode == TapeMode.RECORD:
            self._locks.callback(os.close, lock_for_writing(Path(self.folder)))
        self._lookup = Lookup(self._files)
        self.refresh()

    def refresh(self) -> None:
        """See what others have paid for since; call when a row starts."""
        if self._lookup is not None and self._is_stale:
            if self._objects is not None:
                self._objects.pull()
            self._look()

    async def put(self) -> None:
        """Put what is written and not yet on the object store; there is nothing to do elsewhere.

        Raises:
            UserError: the store cannot be written.
        """
        self._finish_segment()
        await asyncio.gather(*self._putting.values())
        if self._unwritable is not None:
            raise self._unwritable

    def close(self) -> None:
        """Put what is left to put, release the segment and the locks."""
        if self._writer is not None:
            self._writer.close()
        if self._objects is not None:
            for segment in [*self._putting, *([self._writer.path] if self._writer else [])]:
                self._objects.put(segment)
            self._objects.close()
        self._locks.close()
        self._writer = self._claims = self._lookup = self._objects = None
        self._putting = {}

    async def perform(self, effect: Effect, act: Callable[[], Awaitable[Any]], cls: type[Any] | None = None) -> Any:
        """The reply to `effect`: replayed when it is on the tape, else performed by `act` and written first.

        Args:
            act: performs the effect. Concurrent equal effects perform it once.
            cls: the frozen dataclass that the reply is, given as it was made; None: it is JSON-ready, and given as it reads back.

        Raises:
            TroubleError, RejectedError: what `act` raised, now or when it was recorded; or `tape_miss` in replay.
            UserError: the reply cannot be written; every earlier one is kept.
        """
        if self.mode == TapeMode.OFF:
            return _give(await self._pay(b"", effect, act, cls), cls)
        key = effect.key
        found = self._opened().get(key, failures=self.mode == TapeMode.REPLAY)
        if found is None and self.mode == TapeMode.REPLAY:
            raise TroubleError("tape_miss", f"{effect.kind} call of stage {effect.stage} was never recorded (key {key.hex()})")
        if found is None and self._is_stale:
            await self._catch_up()  # a look at the folder costs less than any call
            found = self._opened().get(key, failures=False)
        return _give(Performed(*found) if found else await self._once(key, effect, act, cls), cls)

    async def _once(self, key: bytes, effect: Effect, act: Callable[[], Awaitable[Any]], cls: type[Any] | None) -> Performed:
        """Perform an effect unless another task of this process does, and then wait for its reply."""
        while key in self._flying:
            found = await asyncio.shield(self._flying[key])
            if found is not None:
                return found
        if self._unwritable is not None:
            raise self._unwritable
        future = self._flying[key] = asyncio.get_running_loop().create_future()
        try:
            performed = await (self._pay if effect.scope else self._pay_first)(key, effect, act, cls)
            future.set_result(performed)
            return performed
        except asyncio.CancelledError:
            future.set_result(None)  # this row's time is up, not theirs: the first of those who wait performs it instead
            raise
        except BaseException as error:
            future.set_exception(error)
            future.exception()  # whoever waits gets it; nobody waiting is no fault
            raise
        finally:
            del self._flying[key]

    async def _pay(self, key: bytes, effect: Effect, act: Callable[[], Awaitable[Any]], cls: type[Any] | None) -> Performed:
        try:
            made = await act()
            performed = Performed(_record(effect, made), REPLY, made) if cls else Performed(_json(effect, {"reply": made}), REPLY)
        except (TroubleError, RejectedError) as error:
            kind = "trouble" if isinstance(error, TroubleError) else "rejected"
            told = {"class": kind, "cause": error.cause, "detail": error.detail}
            performed = Performed(_json(effect, {"error": told}), FAILURE)
        if self.mode == TapeMode.RECORD:
            self._write(key, performed.body, performed.flag)
        return performed

    async def _pay_first(self, key: bytes, effect: Effect, act: Callable[[], Awaitable[Any]], cls: type[Any] | None) -> Performed:
        """Pay for an effect that rows of other processes may want too, unless one of them has done so or is about to."""
        if self._claims is None and self._objects is None:
            self._claims = open_claims(Path(self.folder))
            self._locks.callback(os.close, self._claims)
        async with claimed(self._claims, key):
            if self._claims is not None:
                self._look()
            found = self._opened().get(key, failures=False)
            return Performed(*found) if found else await self._pay(key, effect, act, cls)

    async def _catch_up(self) -> None:
        """`refresh`, without holding up other rows while an object store is asked."""
        if self._objects is None:
            self.refresh()
        elif self._is_stale:
            self._refreshed = time.monotonic()  # the first to come asks; who comes meanwhile takes what is here
            await asyncio.to_thread(self._objects.pull)
            self._look()

    def _look(self) -> None:
        self._opened().refresh()
        self._refreshed = time.monotonic()

    def _write(self, key: bytes, body: bytes, flag: int) -> None:
        lookup = self._opened()
        try:
            if self._writer is None:
                self._writer = SegmentWriter(self._files, f"{time.time_ns():020d}-{os.urandom(4).hex()}", fsync=self._fsync)
                if self._objects is not None:
                    asyncio.get_running_loop().call_later(PUT_S, self._finish_segment, self._writer)
            entry = self._writer.append(key, body, flag)
        except UserError as error:
            self._unwritable = error
            raise
        lookup.add(self._writer.path, entry)
        if self._objects is not None and entry.end > PUT_BYTES:
            self._finish_segment()

    def _finish_segment(self, due: SegmentWriter | None = None) -> None:
        """On an object store: put the segment (if it is still the one that is `due`), and begin another one with the next reply."""
        if self._objects is None or self._writer is None or due not in (None, self._writer):
            return
        self._writer.close()
        path, self._writer = self._writer.path, None
        self._putting[path] = asyncio.get_running_loop().create_task(self._put(self._objects, path))

    async def _put(self, objects: ObjectTape, segment: Path) -> None:
        try:
            await asyncio.to_thread(objects.put, segment)
            del self._putting[segment]
        except UserError as error:
            self._unwritable = error

    @property
    def _is_stale(self) -> bool:
        return time.monotonic() - self._refreshed > (REFRESH_S if self._objects is None else PULL_S)

    @property
    def _files(self) -> Path:
        return Path(self.folder) if self._objects is None else self._objects.folder

    def _opened(self) -> Lookup:
        assert self._lookup is not None, "open() first"
        return self._lookup


_ON_OBJECT_STORES: weakref.WeakSet[Tape] = weakref.WeakSet()
"""Of this process: tapes are opened deep inside stages, and rows are committed outside."""


def has_segments_to_put() -> bool:
    """Whether any tape of this process lies on an object store, so that rows must wait for `put_segments`."""
    return bool(_ON_OBJECT_STORES)


async def put_segments() -> None:
    """Put what the tapes of this process hold back; call on their event loop, before rows that used it are committed.

    Raises:
        UserError: a store cannot be written.
    """
    await asyncio.gather(*(tape.put() for tape in list(_ON_OBJECT_STORES)))


def _rebuild(folder: str, mode: TapeMode, fsync: bool) -> Tape:
    return Tape(folder, mode, fsync=fsync)


def _json(effect: Effect, told: dict[str, Any]) -> bytes:
    # Pages hold halves of surrogate pairs now and then; json.loads reads them back the same way.
    return canonical_json({"effect": effect.label} | told).encode(errors="surrogatepass")


def _record(effect: Effect, made: Any) -> bytes:
    try:
        return to_json({"effect": effect.label, "reply": made})  # a fifth of the time
    except PydanticSerializationError:  # it takes no such halves
        return _json(effect, {"reply": to_dict(made)})


def _give(performed: Performed, cls: type[Any] | None) -> Any:
    """Hand a reply to the row in hand, or raise the error that stands for it."""
    note(performed.body)
    if performed.made is not None:
        return performed.made
    value = json.loads(performed.body.decode(errors="surrogatepass"))
    if performed.flag == REPLY:
        return from_dict(value["reply"], cls) if cls else value["reply"]
    error = value["error"]
    raise (TroubleError if error["class"] == "trouble" else RejectedError)(error["cause"], error["detail"])
