"""Marks: nobody's are lost, the last word counts, and they choose rows."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.storage import Storage
from serve.runs.marks import MOST_NOTE, Mark, MarkBook, together
from serve.runs.rows import RowIndex
from serve.runs.selection import MARKS, NONE, SOME, Selection, choose, options
from tests.serve.shelf import shelve

verdicts = st.sampled_from([True, False, None])


def mark(own: str, accepted: bool | None = True, reviewer: str = "Dr. Wang", note: str = "") -> Mark:
    """A mark of some moment."""
    return Mark(trajectory_id=own, reviewer=reviewer, accepted=accepted, note=note, when="2026-01-31T12:00:00Z")


def test_the_last_word_of_each_reviewer_counts(tmp_path: Path) -> None:
    book = MarkBook(Storage(str(tmp_path)))
    for each in (mark("a1"), mark("a1", False), mark("a1", True, "李医生", "好"), mark("a2"), mark("a2", None)):
        book.add(each)
    read = MarkBook(Storage(str(tmp_path))).read()
    assert [(one.reviewer, one.accepted, one.note) for one in read["a1"].marks] == [("Dr. Wang", False, ""), ("李医生", True, "好")]
    assert read["a1"].is_disputed and read["a1"].accepted is None and "a2" not in read
    assert len(list((tmp_path / "marks").iterdir())) == 2
    book.add(mark("a1", False, "third"))
    assert book.read()["a1"].accepted is False


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), verdicts), max_size=12))
def test_what_counts_is_what_each_said_last(said: list[tuple[str, str, bool | None]]) -> None:
    found = together(mark(own, accepted, reviewer) for own, reviewer, accepted in said)
    last = {(own, reviewer): accepted for own, reviewer, accepted in said}
    assert {(own, one.reviewer): one.accepted for own, told in found.items() for one in told.marks} == {
        key: accepted for key, accepted in last.items() if accepted is not None
    }


def test_two_windows_and_a_torn_line_lose_nothing(tmp_path: Path) -> None:
    def write(window: int) -> None:
        book = MarkBook(Storage(str(tmp_path)))
        for number in range(20):
            book.add(mark(f"{window}-{number}", note="ü" * 500))

    windows = [threading.Thread(target=write, args=(window,)) for window in range(4)]
    for window in windows:
        window.start()
    for window in windows:
        window.join()
    book = MarkBook(Storage(str(tmp_path)))
    assert len(book.read()) == 80
    file = next((tmp_path / "marks").iterdir())
    file.write_bytes(file.read_bytes() + b'{"accepted": tru')
    book.add(mark("after"))
    assert len(book.read()) == 81


def test_what_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    book = MarkBook(Storage(str(tmp_path)))
    for name in ("", "../../x", "a/b", "x" * 41, "a\nb", "_"):
        with pytest.raises(InputError, match="is no name"):
            book.add(mark("a1", reviewer=name))
    with pytest.raises(InputError, match="1,501 characters"):
        book.add(mark("a1", note="x" * (MOST_NOTE + 1)))
    assert not (tmp_path / "marks").exists()
    (tmp_path / "marks").mkdir()
    (tmp_path / "marks/me.jsonl").write_text('{"accepted": "perhaps"}\n')
    with pytest.raises(InputError, match="line 1 is no mark"):
        book.read()


def test_every_condition_chooses(tmp_path: Path) -> None:
    folder = shelve(tmp_path / "shelf")
    book = MarkBook(Storage(str(folder)))
    for each in (mark("a1"), mark("b1", False, note="no"), mark("c1"), mark("c1", False, "other"), mark("d1", None, note="why?")):
        book.add(each)
    table, marked = RowIndex(folder).read(), book.read()

    def chosen(**wanted: str) -> str:
        ids = table["id"].to_pylist()
        return " ".join(ids[place] for place in choose(table, Selection(**wanted), marked))

    assert chosen() == "a1 a2 b1 c1 d1 e1" and chosen(outcome="right", fate=NONE) == "e1"
    assert chosen(outcome="wrong") == "b1 d1" and chosen(fate="accepted") == "a1" and chosen(stop="max_turns") == "d1"
    assert chosen(hops="3") == "b1" and chosen(guidance="full") == "b1" and chosen(paradigm="count") == ""
    assert chosen(tool="graph") == "e1" and chosen(tool="searc") == "" and chosen(faults=SOME) == "c1" and chosen(faults="timeout") == "c1"
    assert chosen(faults=NONE, hops="1") == "" and chosen(tag="specialty:cardiology") == "a1"
    assert chosen(text="lmna") == "b1" and chosen(text="c1") == "c1" and chosen(text="q1") == "a1 a2" and chosen(text="(.*") == ""
    by_mark = {"accepted": "a1", "rejected": "b1", "disputed": "c1", "noted": "b1 d1", "marked": "a1 b1 c1 d1", "unmarked": "a2 e1"}
    assert {kind: chosen(mark=kind) for kind in MARKS} == by_mark


def test_what_can_be_asked_is_counted(tmp_path: Path) -> None:
    table = RowIndex(shelve(tmp_path)).read()
    found = options(table)
    assert found["outcome"] == {"right": 3, "wrong": 2, "unknown": 1} and found["hops"] == {"1": 1, "2": 4, "3": 1}
    assert found["fate"][NONE] == 1 and found["faults"] == {SOME: 1, NONE: 5, "recovered": 1, "timeout": 1}
    for name, counts in found.items():
        for value, count in counts.items():
            assert len(choose(table, Selection(**{name: value}), {})) == count, (name, value)


@given(st.dictionaries(st.sampled_from(["text", "fate", "hops", "mark", "run", "row"]), st.text(max_size=300)))
def test_an_address_tells_a_selection(query: dict[str, str]) -> None:
    wanted = Selection.of(query)
    assert Selection.of(wanted.query()) == wanted and all(len(value) <= 200 for value in wanted.query().values())
