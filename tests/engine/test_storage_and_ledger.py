"""Files appear whole, and the ledger counts each input once however often it was committed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import UserError
from engine.ledger import Ledger
from engine.records import Failure, Rejection
from engine.stage import Outcomes
from engine.storage import Storage
from tests.engine.toy import Number, number


def ends(value: int, failed: bool = False, attempts: int = 1) -> Outcomes[Number]:
    """One input with a row, a rejection, and a failure or another rejection."""
    source = number(value)
    common = {"trace_id": source.trace_id, "stage": "s", "detail": "", "input_id": source.id}
    no = [Rejection(id=f"{source.id}-r{n}", cause="c", ordinal=n, **common) for n in (1, 2)]
    trouble = Failure(id=f"{source.id}-f2", cause="t", ordinal=2, attempts=attempts, **common)
    return Outcomes(source.id, (number(value + 1000),), tuple(no[:1] if failed else no), (trouble,) if failed else ())


def test_write_replaces_whole_files_and_leaves_no_scraps(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    for data in (b"one", b"two, longer"):
        storage.write("a/b.bin", data)
    assert storage.read("a/b.bin") == b"two, longer"
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["b.bin"]
    assert storage.list("a", ".bin") == ["a/b.bin"] and storage.list("nowhere") == []


def test_an_object_store_works_like_a_folder() -> None:
    storage = Storage("memory://bucket/run")
    storage.write("x/1.json", b"{}")
    storage.append("log", b"a\n")
    storage.append("log", b"b\n")
    assert storage.list("x") == ["x/1.json"] and storage.read("log") == b"a\nb\n"
    ledger = Ledger(storage)
    ledger.commit("s", "rows", Number, [ends(1)])
    assert ledger.index().rows("s", Number, [number(1).id]) == [number(1001)]


def test_a_write_that_fails_leaves_no_scraps(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(UserError):
        Storage(str(tmp_path)).write("taken", b"a folder is in the way")
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


def test_rows_of_some_inputs_are_theirs_alone(tmp_path: Path) -> None:
    ledger = Ledger(Storage(str(tmp_path)))
    ledger.commit("s", "rows", Number, [ends(1), ends(2)])
    assert ledger.index().rows("s", Number, [number(2).id]) == [number(1002)]
    assert {row.input_id for row in ledger.index().rejections("s", [number(2).id])} == {number(2).id}


def test_an_unwritable_folder_is_told_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    storage = Storage(str(tmp_path / "file"))
    for write in (storage.write, storage.append):
        with pytest.raises(UserError, match=r"run\.dir"):
            write("x", b"")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groups=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5, unique=True), min_size=1, max_size=6))
def test_replayed_blocks_in_other_groupings_count_once(tmp_path_factory: pytest.TempPathFactory, groups: list[list[int]]) -> None:
    ledger = Ledger(Storage(str(tmp_path_factory.mktemp("run"))))
    for group in groups:
        ledger.commit("s", "rows", Number, [ends(value) for value in group])
    values = sorted({value for group in groups for value in group})
    ids = [number(value).id for value in values]
    index = ledger.index()
    count = index.account("s", ids, fan_out=3)
    assert (count.inputs, count.rows, count.rejections, count.failures) == (len(ids), len(ids), 2 * len(ids), 0)
    assert sorted(row.value for row in index.rows("s", Number, ids)) == [value + 1000 for value in values]
    assert len(index.rejections("s", ids)) == 2 * len(ids)


def test_a_later_success_outranks_an_earlier_failure(tmp_path: Path) -> None:
    ledger = Ledger(Storage(str(tmp_path)))
    ledger.commit("s", "rows", Number, [ends(1, failed=True), ends(2, failed=True, attempts=3)])
    before = ledger.index()
    assert before.unsettled(["s"], [number(1).id, number(2).id], max_attempts=3) == {number(1).id}
    assert before.earlier_attempts("s") == {number(1).id: 1, number(2).id: 3}
    ledger.commit("s", "rows", Number, [ends(1)])
    after = ledger.index()
    assert after.unsettled(["s"], [number(1).id], max_attempts=3) == set()
    assert [row.id for row in after.failures("s", [number(1).id, number(2).id])] == [f"{number(2).id}-f2"]


@pytest.mark.parametrize("folder", ["rows", "rejections", "failures", "ledger"])
@pytest.mark.parametrize("damage", ["torn", "gone"])
def test_a_shard_with_a_torn_or_missing_file_opens_its_inputs_again(tmp_path: Path, folder: str, damage: str) -> None:
    ledger, ids = Ledger(Storage(str(tmp_path))), [number(value).id for value in (1, 2, 3)]
    ledger.commit("s", "rows", Number, [ends(1), ends(2, failed=True)])
    (hurt,) = (tmp_path / folder).iterdir()
    ledger.commit("s", "rows", Number, [ends(3)])
    whole = hurt.read_bytes()
    if damage == "torn":
        hurt.write_bytes(whole[:-7])
    else:
        hurt.unlink()
    index = ledger.index()
    assert index.unsettled(["s"], ids, max_attempts=1) == set(ids[:2]) and list(index.entries("s")) == ids[2:]
    ledger.commit("s", "rows", Number, [ends(1), ends(2, failed=True)])
    assert hurt.read_bytes() == whole and ledger.index().unsettled(["s"], ids, max_attempts=1) == set()
    assert ledger.index().account("s", ids, fan_out=3).rows == 3


def test_damage_inside_a_file_is_told_and_the_next_run_makes_the_rows_again(tmp_path: Path) -> None:
    ledger, ids = Ledger(Storage(str(tmp_path))), [number(value).id for value in (1, 2)]
    for value in (1, 2):
        ledger.commit("s", "rows", Number, [ends(value)])
    shard = ledger.index().entries("s")[ids[0]].shard
    file = tmp_path / "rows" / f"{shard}.parquet"
    file.write_bytes(file.read_bytes()[:-20] + bytes(20))
    with pytest.raises(UserError, match=rf"(?s){shard}\.parquet: is damaged.*run the same command again"):
        ledger.index().rows("s", Number, ids)
    assert ledger.index().unsettled(["s"], ids, max_attempts=1) == {ids[0]}
    ledger.commit("s", "rows", Number, [ends(1)])
    assert sorted(row.value for row in ledger.index().rows("s", Number, ids)) == [1001, 1002]
