"""Many segments into one, killed wherever it hurts: every reply that stood before stands after."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import InputError, TroubleError, UserError
from engine.tape.compact import WORK, compact
from engine.tape.key import Effect
from engine.tape.lookup import Lookup
from engine.tape.segment import FAILURE, REPLY, SegmentWriter
from engine.tape.survey import export, segments, survey
from engine.tape.tape import Tape, TapeMode


async def record(folder: Path, answer: str, numbers: range, failing: int = -1) -> None:
    """One run: a segment with the numbers' replies."""
    tape = Tape(str(folder))
    tape.open()
    for number in numbers:

        async def act(number: int = number) -> dict[str, str]:
            if number == failing:
                raise TroubleError("refused", "nobody there")
            return {"answer": f"{answer} {number}"}

        try:
            await tape.perform(effect(number), act)
        except TroubleError:
            assert number == failing
    tape.close()


def effect(number: int) -> Effect:
    return Effect(kind="search", stage="rollout", request=number, scope=f"q-{number}")


def double(folder: Path, number: int, flag: int = REPLY) -> None:
    """What another process wrote that performed the same effect at the same time; its segment is the younger one."""
    with SegmentWriter(folder, f"{time.time_ns():020d}-double") as writer:
        writer.append(effect(number).key, b'{"effect":{"kind":"search","stage":"rollout"},"reply":"a double"}', flag)


async def three_runs(folder: Path) -> Path:
    """Replies 0..11 in five segments, one double, one failure made good later, one that stands, one torn tail."""
    await record(folder, "first", range(0, 6), failing=5)
    await record(folder, "second", range(4, 9), failing=8)
    await record(folder, "third", range(9, 12))
    eldest, *_, last = segments(folder)
    double(folder, 1)
    double(folder, 2, FAILURE)
    last.write_bytes(last.read_bytes() + eldest.read_bytes()[8:60])
    return folder


def standing(folder: Path) -> dict[bytes, tuple[bytes, int]]:
    lookup = Lookup(folder)
    lookup.refresh()
    return {key: found for key in lookup.keys() if (found := lookup.get(key, failures=True))}  # noqa: SIM118 - not a dict


@pytest.mark.parametrize("keep_failures", [False, True])
async def test_one_sorted_segment_says_what_all_said(tmp_path: Path, keep_failures: bool) -> None:
    folder = await three_runs(tmp_path)
    before = standing(folder)
    kept = {key: found for key, found in before.items() if keep_failures or found[1] != FAILURE}
    done = compact(folder, keep_failures=keep_failures)
    assert (done.entries, done.segments) == (len(kept), 5) and len(before) == 12 and len(kept) == (12 if keep_failures else 11)
    assert standing(folder) == kept
    (made,) = segments(folder)
    assert [line["key"] for line in export(folder)] == sorted(key.hex() for key in kept)
    assert done.bytes_after == made.stat().st_size < done.bytes_before
    assert sorted(path.name for path in folder.iterdir()) == [".lock", made.with_suffix(".idx").name, made.name]
    assert compact(folder, keep_failures=keep_failures).entries == len(kept) and segments(folder) == [made], "named by what it holds"
    seen = survey(folder)
    assert (seen.entries, seen.duplicates, seen.torn_tails, seen.damaged_bytes) == (len(kept), 0, 0, 0)


async def test_compaction_believes_no_sidecar_and_an_open_replay_goes_on(tmp_path: Path) -> None:
    folder = await three_runs(tmp_path)
    before = standing(folder)
    replaying = Tape(str(folder), TapeMode.REPLAY)
    replaying.open()
    first, second, *_ = (segment.with_suffix(".idx") for segment in segments(folder))
    shutil.copy(first, second)
    compact(folder, keep_failures=True)
    assert standing(folder) == before

    async def never() -> None:
        raise AssertionError

    assert await replaying.perform(effect(3), never) == {"answer": "first 3"}
    await record(folder, "fourth", range(3, 14))
    assert await replaying.perform(effect(10), never) == {"answer": "third 10"}
    assert len(standing(folder)) == 14 and standing(folder)[effect(3).key] == before[effect(3).key]


async def test_it_is_refused_without_a_tape_while_a_run_writes_and_without_room(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no tape"):
        compact(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    folder = await three_runs(tmp_path / "tape")
    before = standing(folder)
    writing = Tape(str(folder))
    writing.open()
    with pytest.raises(UserError, match="a run is writing to this tape\n  → compact it when the run has ended"):
        compact(folder)
    writing.close()
    (folder / WORK).write_text("no folder can be made here")
    with pytest.raises(UserError, match=r"cannot be written .*\n.*every earlier reply is kept"):
        compact(folder)
    assert standing(folder) == before


KILL = """
import os, shutil, signal, sys
from pathlib import Path
from engine.tape.compact import compact
from engine.tape.segment import FAILURE
from engine.tape.survey import segments
from tests.engine.test_tape_compact import standing
source, folder = Path(sys.argv[1]), Path(sys.argv[2])
before, left = standing(source), -1
replies = {key: found for key, found in before.items() if found[1] != FAILURE}
touches = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree")

def listen(event, arguments):
    global left
    if event in touches and left >= 0:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(listen)
point, killed = 0, 0
while True:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    child = os.fork()
    if child == 0:
        left = point
        compact(folder)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    after = standing(folder)
    assert after.items() <= before.items() and replies.items() <= after.items(), f"killed at {point}"
    if status == 0:
        break
    point, killed = point + 1, killed + 1
    if killed % 5 == 0:  # and the next one tidies up
        compact(folder)
        assert standing(folder) == replies and len(segments(folder)) == 1 and len(list(folder.iterdir())) == 3
print(killed)
"""


async def test_killed_at_every_touch_of_a_file_it_loses_nothing(tmp_path: Path) -> None:
    await three_runs(tmp_path / "source")
    compact(tmp_path / "source", keep_failures=True)  # so that an elder compacted segment is among them
    await record(tmp_path / "source", "fourth", range(6, 14))
    double(tmp_path / "source", 12)
    command = [sys.executable, "-c", KILL, str(tmp_path / "source"), str(tmp_path / "copy")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40, "points at which it was killed"
