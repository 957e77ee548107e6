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


def test_an_unwritable_folder_is_told_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"run\.dir"):
        Storage(str(tmp_path / "file")).write("x", b"")


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
