"""Reading: a conversation is told whole, steps and filters stand in the address, marks are kept, and nothing that was said is obeyed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from serve.runs.rows import RowIndex
from serve.studio.conversation import Block, BlockKind, arguments, blocks
from tests.agents.worlds import call, conversation, trajectory
from tests.serve.shelf import FAULTS, shelve

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>{{7*7}}"


@pytest.fixture(scope="module")
def name(workspace: Path) -> str:
    """A run of this file's own, whose first trajectory holds markup everywhere, and whose second was guided."""
    folder = workspace / "reading"
    shutil.copytree(workspace / "small", folder)
    first, second = RowIndex(folder).read()["id"].slice(0, 2).to_pylist()
    for shard in (folder / "trajectories").iterdir():
        table = pq.read_table(shard)
        rows = table.to_pylist()
        for row in rows:
            if row["id"] == second:
                row["guidance"] = "full"
            if row["id"] == first:
                row["question"] = row["final_answer"] = HOSTILE
                row["faults"] = [
                    {"call_id": row["messages"][2]["tool_calls"][0]["id"], "tool": HOSTILE, "kind": "timeout", "recovered": True}
                ]
                for message in row["messages"]:
                    message["content"] = HOSTILE + message["content"]
                    for made in message["tool_calls"]:
                        made["name"], made["arguments"] = HOSTILE, json.dumps({HOSTILE: HOSTILE})
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), shard)
    return "reading"


def test_the_blocks_of_a_conversation() -> None:
    told = blocks(trajectory(faults=FAULTS, calls_seen=("0123456789abcdef",)))
    kinds = ["system", "question", "thought", "call", "call", "result", "result", "thought", "call", "result", "answer"]
    assert [block.kind.value for block in told] == kinds
    assert told[3] == Block(BlockKind.CALL, "query: x", "search", FAULTS[0]) and told[5].seen == "0123456789abcdef"
    assert arguments(call("c", arguments='{"a": [1, "é"], "b": "two words"}')) == 'a: [1, "é"]\nb: two words'
    assert arguments(call("c", arguments="[1")) == "[1" and arguments(call("c", arguments="[1]")) == "[1]"
    assert [block.kind for block in blocks(trajectory(messages=conversation()[1:2] * 2))] == [BlockKind.QUESTION, BlockKind.USER]


def test_reading_stepping_filtering(studio: str, page: Page, name: str, workspace: Path) -> None:
    table = RowIndex(workspace / name).read()
    ids, total = table["id"].to_pylist(), len(table)
    page.goto(f"{studio}/read?run={name}&row={ids[1]}")
    position = page.locator("[data-test=position]")
    expect(position).to_have_text(f"2 of {total}")
    second = RowIndex(workspace / name).trajectory(ids[1])
    expect(page.locator("[data-test=conversation]")).to_contain_text(second.question)
    expect(page.locator("[data-test=verdict]")).to_contain_text(second.answer)
    expect(page.locator("[data-test=proof]")).to_contain_text("facts as evidence")
    expect(page.locator("[data-test=verdict]")).to_contain_text("[MASK_1]")
    page.keyboard.press("j")
    expect(position).to_have_text(f"3 of {total}")
    page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="Next trajectory").click()
    expect(position).to_have_text(f"3 of {total}")
    page.get_by_label("Search questions, answers, ids").fill("j")
    expect(page.locator("[data-test=count]")).not_to_have_text(f"{total} of {total} trajectories")
    page.get_by_label("Search questions, answers, ids").fill("")
    expect(page.locator("[data-test=count]")).to_have_text(f"{total} of {total} trajectories")
    page.get_by_label("Became").click()
    rejected = [text for text in page.get_by_role("option").all_inner_texts() if not text.startswith("training row")]
    page.get_by_role("option", name=rejected[0]).click()
    cause, number = rejected[0].rstrip(")").rsplit(" (", 1)
    expect(page.locator("[data-test=count]")).to_have_text(f"{number} of {total} trajectories")
    expect(page.locator("[data-test=verdict]")).to_contain_text(f"rejected: {cause}")
    page.wait_for_url(f"**fate={cause.replace(' ', '_')}*")
    page.reload()
    expect(position).to_have_text(f"1 of {number}")


def test_marks_of_two_windows(studio: str, page: Page, name: str, workspace: Path) -> None:
    ids = RowIndex(workspace / name).read()["id"].to_pylist()
    page.goto(f"{studio}/read?run={name}&row={ids[3]}")
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("alert")).to_contain_text("is no name")
    page.get_by_label("Your name").fill("李医生")
    page.get_by_label("Note", exact=True).fill("clear <b>and</b> right")
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("button", name="Accept")).to_have_attribute("aria-pressed", "true")
    other = page.context.new_page()
    other.goto(f"{studio}/read?run={name}&row={ids[3]}&reviewer=Bo")
    expect(other.locator("[data-test=marks]")).to_have_text("李医生: accepted – clear <b>and</b> right")
    other.get_by_role("button", name="Reject").click()
    expect(other.get_by_role("button", name="Reject")).to_have_attribute("aria-pressed", "true")
    other.goto(f"{studio}/read?run={name}&mark=disputed")
    expect(other.locator("[data-test=position]")).to_have_text("1 of 1")
    written = [json.loads(line) for file in (workspace / name / "marks").iterdir() for line in file.read_text("utf-8").splitlines()]
    assert {(mark["reviewer"], mark["accepted"], mark["trajectory_id"]) for mark in written} == {
        ("李医生", True, ids[3]),
        ("Bo", False, ids[3]),
    }
    page.reload()
    expect(page.get_by_label("Note", exact=True)).to_have_value("clear <b>and</b> right")
    page.get_by_role("button", name="Take back").click()
    expect(page.get_by_role("button", name="Accept")).to_have_attribute("aria-pressed", "false")
    other.close()


def test_what_was_said_is_shown_and_not_obeyed(studio: str, page: Page, name: str, workspace: Path) -> None:
    first = RowIndex(workspace / name).read()["id"][0].as_py()
    page.goto(f"{studio}/read?run={name}&row={first}")
    expect(page.locator(".read-question")).to_contain_text(HOSTILE)
    expect(page.locator(".read-tool").first).to_have_text(HOSTILE)
    expect(page.locator("[data-test=verdict]")).to_contain_text(HOSTILE)
    page.get_by_text("System prompt").click()
    expect(page.locator(".read-system")).to_contain_text(HOSTILE)
    page.get_by_label("Tool called").click()
    expect(page.get_by_role("option").filter(has_text="onerror")).to_have_count(1)
    assert page.title() == "Read · HopForge Studio" and page.locator("img").count() == 0
    for hostile in ("../../etc", "%2e%2e/x", "nobody"):
        page.goto(f"{studio}/read?run={hostile}")
        expect(page.get_by_role("alert")).to_be_visible()


def test_in_chinese_without_rows_and_with_a_torn_file(studio: str, page: Page, workspace: Path) -> None:
    shelve(workspace / "shelf")
    next((workspace / "shelf/trajectories").iterdir()).write_bytes(b"torn")
    page.goto(f"{studio}/language/zh?back=read")
    page.goto(f"{studio}/read?run=shelf&text=nothing+is+like+this")
    expect(page.locator("[data-test=count]")).to_have_text("0 / 4 条轨迹")
    expect(page.locator("[data-test=conversation]")).to_have_text("没有符合条件的轨迹。")
    expect(page.get_by_role("alert").filter(has_text="无法读取")).to_be_visible()
