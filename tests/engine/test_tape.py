"""Paid once, written before it is used, replayed ever after; torn files lose only what was torn."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import RejectedError, TroubleError, UserError
from engine.tape.key import Effect
from engine.tape.lookup import Lookup
from engine.tape.segment import FAILURE, REPLY, SegmentWriter, scan
from engine.tape.tape import Tape, TapeMode


def effect(number: int, scope: str = "") -> Effect:
    return Effect(kind="model", stage="rollout", request={"number": number, "text": "é"}, scope=scope)


class World:
    """Something that costs money: counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def ask(self, tape: Tape, number: int, scope: str = "") -> Any:
        async def act() -> Any:
            self.asked.append(number)
            await asyncio.sleep(0.001)
            if number < 0:
                raise TroubleError("refused", "nobody there")
            if number == 13:
                raise RejectedError("too_long")
            return {"square": number**2}

        return await tape.perform(effect(number, scope), act)


def opened(folder: Path, mode: TapeMode = TapeMode.RECORD) -> Tape:
    tape = Tape(str(folder), mode)
    tape.open()
    return tape


async def test_each_effect_is_paid_once_and_replayed(tmp_path: Path) -> None:
    world, tape = World(), opened(tmp_path)
    replies = await asyncio.gather(*(world.ask(tape, number) for number in (1, 2, 2, 1)))
    assert [reply["square"] for reply in replies] == [1, 4, 4, 1] and sorted(world.asked) == [1, 2]
    await world.ask(tape, 2, scope="another rollout")
    assert world.asked.count(2) == 2
    tape.close()
    again = opened(tmp_path, TapeMode.REPLAY)
    assert await world.ask(again, 1) == {"square": 1} and world.asked.count(1) == 1


async def test_a_miss_in_replay_is_named_and_off_writes_nothing(tmp_path: Path) -> None:
    world = World()
    with pytest.raises(TroubleError, match=r"tape_miss.*rollout"):
        await world.ask(opened(tmp_path, TapeMode.REPLAY), 1)
    await world.ask(opened(tmp_path / "off", TapeMode.OFF), 1)
    assert world.asked == [1] and not (tmp_path / "off").exists()


async def test_failures_are_kept_for_replay_and_tried_again_when_recording(tmp_path: Path) -> None:
    world = World()
    for _ in range(2):
        tape = opened(tmp_path)
        with pytest.raises(TroubleError, match="nobody there"):
            await world.ask(tape, -1)
        with pytest.raises(RejectedError, match="too_long"):
            await world.ask(tape, 13)
        tape.close()
    assert world.asked == [-1, 13, -1, 13]
    replayed = opened(tmp_path, TapeMode.REPLAY)
    with pytest.raises(TroubleError, match="nobody there"):
        await world.ask(replayed, -1)
    assert len(world.asked) == 4


async def test_one_actor_sees_what_another_paid_for(tmp_path: Path) -> None:
    world, first, second = World(), opened(tmp_path), opened(tmp_path)
    await world.ask(first, 5)
    second.refresh()
    assert await world.ask(second, 5) == {"square": 25} and world.asked == [5]


async def test_a_tape_travels_closed(tmp_path: Path) -> None:
    world = World()
    travelled = pickle.loads(pickle.dumps(opened(tmp_path)))
    travelled.open()
    assert await world.ask(travelled, 3) == {"square": 9}


bodies = st.lists(
    st.tuples(st.binary(min_size=16, max_size=16), st.binary(max_size=200)), min_size=1, max_size=12, unique_by=lambda pair: pair[0]
)


@given(bodies, st.integers(1, 60), st.booleans())
def test_a_torn_segment_loses_only_its_last_entries(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[bytes, bytes]], torn: int, indexed: bool
) -> None:
    folder = tmp_path_factory.mktemp("tape")
    with SegmentWriter(folder, "a") as writer:
        entries = [writer.append(key, body) for key, body in pairs]
    data = writer.path.read_bytes()
    kept = data[: max(8, len(data) - torn)]
    writer.path.write_bytes(kept)
    if not indexed:
        writer.path.with_suffix(".idx").unlink()
    lookup = Lookup(folder)
    lookup.recover()
    for (key, body), entry in zip(pairs, entries, strict=True):
        whole = entry.offset + entry.length <= len(kept)
        assert lookup.get(key, failures=False) == ((body, REPLY) if whole else None)


def test_a_flipped_byte_is_not_a_reply(tmp_path: Path) -> None:
    with SegmentWriter(tmp_path, "a") as writer:
        entry = writer.append(b"k" * 16, b"hello")
    data = bytearray(writer.path.read_bytes())
    data[entry.offset] ^= 1
    writer.path.write_bytes(bytes(data))
    lookup = Lookup(tmp_path)
    lookup.recover()
    assert lookup.get(b"k" * 16, failures=True) is None and list(scan(writer.path)) == []


def test_many_entries_are_merged_and_a_reply_outranks_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.tape.lookup.MERGE_AT", 50)
    keys = [number.to_bytes(16, "big") for number in range(300)]
    with SegmentWriter(tmp_path, "a") as writer:
        for key in keys:
            writer.append(key, b"trouble", FAILURE)
    lookup = Lookup(tmp_path)
    lookup.refresh()
    assert lookup.get(keys[7], failures=False) is None and lookup.get(keys[7], failures=True) == (b"trouble", FAILURE)
    with SegmentWriter(tmp_path, "b") as writer:
        for key in keys[:200]:
            writer.append(key, b"good")
    lookup.refresh()
    assert [lookup.get(key, failures=True) for key in keys] == [(b"good", REPLY)] * 200 + [(b"trouble", FAILURE)] * 100
    assert lookup.keys() == keys


KILLED = """
import asyncio, sys
from engine.tape.tape import Tape
from tests.engine.test_tape import World
async def main():
    tape, world = Tape(sys.argv[1]), World()
    tape.open()
    for number in range(100, 100_000):
        await world.ask(tape, number)
        print(number, flush=True)
asyncio.run(main())
"""


async def test_a_killed_writer_has_written_everything_it_used(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    used = [int(process.stdout.readline()) for _ in range(50)]
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    used += [int(line) for line in process.stdout.read().split()]
    process.wait()
    world, tape = World(), opened(tmp_path)
    for number in used:
        assert await world.ask(tape, number) == {"square": number**2}
    assert len(used) >= 50 and world.asked == []


async def test_an_unwritable_tape_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((UserError, NotADirectoryError, FileExistsError)):
        await World().ask(opened(tmp_path / "file"), 1)
