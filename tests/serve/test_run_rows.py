"""The index of a run: what became of each trajectory, whatever is cached, torn, or still being written."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agents.records import Trajectory
from engine.errors import InputError
from engine.records import derive_id, from_table
from serve.runs.flat import split
from serve.runs.rows import ACCEPTED, RowIndex
from tests.serve.shelf import rollouts, shelve


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that ended in every way."""
    return shelve(tmp_path / "shelf")


def column(index: RowIndex, name: str) -> dict[str, object]:
    """Id → a column."""
    table = index.read()
    return dict(zip(table["id"].to_pylist(), table[name].to_pylist(), strict=True))


def test_each_trajectory_has_its_outcome_and_fate(folder: Path) -> None:
    index = RowIndex(folder)
    assert column(index, "outcome") == {"a1": "right", "a2": "right", "b1": "wrong", "c1": "unknown", "d1": "wrong", "e1": "right"}
    fates = {
        "a1": ACCEPTED,
        "a2": "duplicate_trajectory",
        "b1": "wrong_answer",
        "c1": "unverified_answer",
        "d1": "no_final_answer",
        "e1": "",
    }
    assert column(index, "fate") == fates | {"e1": ""}
    assert column(index, "detail")["b1"] == "because wrong_answer" and column(index, "judged")["a1"] == "right by match"
    assert column(index, "tokens")["a1"] == 100 and column(index, "tokens")["b1"] is None
    called = {own: " ".join(split(str(tools))) for own, tools in column(index, "tools").items()}
    assert called == dict.fromkeys(("a1", "a2", "b1", "c1"), "search visit") | {"d1": "", "e1": "graph"}
    assert split(str(column(index, "faults")["c1"])) == ["recovered", "timeout"] and split(str(column(index, "faults")["a1"])) == []
    assert index.is_whole and not index.damaged


def test_one_trajectory_is_read_whole(folder: Path) -> None:
    index = RowIndex(folder)
    for row in rollouts():
        assert index.trajectory(row.id) == row
    with pytest.raises(InputError, match="is no trajectory of shelf"):
        index.trajectory("../../etc/passwd")


def test_a_trajectory_in_two_shards_counts_once(folder: Path) -> None:
    shard = next((folder / "trajectories").iterdir())
    shutil.copy(shard, shard.with_name("rollout-copy.parquet"))
    assert len(RowIndex(folder).read()) == len(rollouts())


def test_what_is_read_is_kept_and_only_new_shards_are_read_again(folder: Path, tmp_path: Path) -> None:
    first = RowIndex(folder, tmp_path / "cache").read()
    later = RowIndex(folder, tmp_path / "cache")
    shutil.copytree(folder, tmp_path / "kept")
    for shard in (folder / "trajectories").iterdir():
        shard.write_bytes(b"\0" * shard.stat().st_size)
    assert later.read().equals(first), "a shard was opened although the cache knows it"
    added = (tmp_path / "kept/trajectories").iterdir()
    table = pq.read_table(next(added)).slice(0, 1)
    new = table.set_column(table.schema.get_field_index("id"), "id", pa.array(["new"]))
    pq.write_table(new, folder / "trajectories/rollout-new.parquet")
    assert set(later.read()["id"].to_pylist()) == {*first["id"].to_pylist(), "new"}
    assert later.trajectory("new").id == "new"
    (folder / "trajectories/rollout-new.parquet").unlink()
    assert RowIndex(folder, tmp_path / "cache").read()["id"].to_pylist() == first["id"].to_pylist()


def test_a_cache_that_is_none_is_not_taken(folder: Path, tmp_path: Path) -> None:
    first = RowIndex(folder, tmp_path).read()
    for file in tmp_path.glob("*.arrow"):
        file.write_bytes(b"ARROW1\0\0torn")
    assert RowIndex(folder, tmp_path).read().equals(first)


def test_a_damaged_shard_is_named_and_the_others_are_read(folder: Path) -> None:
    shard = sorted((folder / "trajectories").iterdir())[0]
    shard.write_bytes(shard.read_bytes()[:200])
    index = RowIndex(folder)
    assert len(index.read()) == len(rollouts()) - 2 and index.damaged == [f"trajectories/{shard.name}"]


def test_who_cannot_wait_gets_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.runs.shards.BATCH", 1)
    index = RowIndex(shelve(tmp_path, per_shard=1))
    assert len(index.read(seconds=0)) == 1 and not index.is_whole
    begun = time.monotonic()
    while not index.is_whole:
        index.read(seconds=0)
        assert time.monotonic() - begun < 20
    assert len(index.read()) == len(rollouts())


def test_rows_of_earlier_versions_lack_columns(folder: Path) -> None:
    for shard in (folder / "trajectories").iterdir():
        table = pq.read_table(shard)
        pq.write_table(table.drop_columns(["faults", "guidance", "tags", "calls_seen"]), shard)
    table = RowIndex(folder).read()
    assert table["faults"].to_pylist() == ["\n"] * len(table) and table["guidance"].null_count == len(table)
    assert len(from_table(pq.read_table(shard), Trajectory)) == 2


def test_a_run_without_trajectories_is_empty(tmp_path: Path) -> None:
    index = RowIndex(tmp_path)
    assert len(index.read()) == 0 and index.is_whole
    with pytest.raises(InputError):
        index.trajectory(derive_id("x"))
