"""Browsing, tagging, comparing and exporting a run: what is written can be read again, and nothing leaves the workspace."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from agents.curate.imports.reading import read_trajectories
from engine.errors import InputError
from engine.storage import Storage
from samplers.questions.split import split_of
from serve.runs.export import Order, download, downloads, export_selection
from serve.runs.leakage import shared_between
from serve.runs.marks import Mark
from serve.runs.opened import OpenRun
from serve.runs.sets import QuestionSelection
from serve.runs.tags import TagRule

HOSTILE = "<img src=x onerror=\"document.title='owned'\">{{7*7}}"


@pytest.fixture(scope="module")
def name(workspace: Path) -> str:
    """A run of this file's own; one of its questions, and its answer, are markup."""
    folder = workspace / "browsing"
    shutil.copytree(workspace / "small", folder)
    shard = folder / "questions/part-00000.parquet"
    table = pq.read_table(shard)
    rows = table.to_pylist()
    rows[0]["text"] = rows[0]["answer"] = rows[0]["seed_name"] = HOSTILE
    rows[0]["tags"] = [HOSTILE]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), shard)
    return "browsing"


def test_an_export_holds_what_was_chosen_and_can_be_read_again(workspace: Path, tmp_path: Path) -> None:
    run = OpenRun("small", shutil.copytree(workspace / "small", tmp_path / "copy"))
    run.tags.add(TagRule(tag="set:odd", adds=True, where={"hops": "3"}))
    table = run.rows.read()
    kept = [row for row in table.to_pylist() if row["fate"] == "accepted"]
    gone = kept[0]
    run.marks.add(Mark(trajectory_id=gone["id"], reviewer="Bo", accepted=False, note="", when="2026-01-31T12:00:00Z"))
    target = Storage(str(tmp_path / "chosen"))
    written = export_selection([run], Order(human="not_rejected"), target, "chosen")
    lines = [json.loads(line) for line in target.read("export/sft.jsonl").decode().splitlines()]
    assert {line["metadata"]["id"] for line in lines} == {row["row_id"] for row in kept} - {gone["row_id"]}
    assert written.rows == len(kept) - 1 and all(line["tools"] for line in lines)
    again = OpenRun("chosen", tmp_path / "chosen")
    assert len(again.rows.read()) == written.rows and set(again.rows.read()["fate"].to_pylist()) == {"accepted"}
    assert {line["id"] for line in again.told().to_pylist() if "set:odd" in line["tags"]} == {
        line["id"] for line in again.told().to_pylist() if line["hops"] == 3
    }
    manifest = json.loads(target.read("manifest.json"))
    assert manifest["sources"][0]["run"] == "small" and manifest["selection"]["human"] == "not_rejected"
    assert len(read_trajectories(str(tmp_path / "chosen"), "auto")[0]) == written.rows
    with pytest.raises(InputError, match="is there already"):
        export_selection([run], Order(), target, "chosen")
    with pytest.raises(InputError, match="holds no training row"):
        export_selection([run], Order(selection=QuestionSelection(text="nothing is like this")), Storage(str(tmp_path / "none")), "none")
    assert not (tmp_path / "none").exists()


def test_merged_runs_teach_each_lesson_once_and_parts_share_nothing(workspace: Path, tmp_path: Path) -> None:
    first = OpenRun("small", workspace / "small")
    second = OpenRun("copy", shutil.copytree(workspace / "small", tmp_path / "copy"))
    target = Storage(str(tmp_path / "merged"))
    written = export_selection([first, second], Order(valid=0.2, test=0.2), target, "merged")
    merged = OpenRun("merged", tmp_path / "merged")
    rows = merged.rows.training_rows(merged.rows.read()["row_id"].to_pylist())
    parts = {split_of(row.tags).value for row in rows}
    assert parts >= {"train", "test"} and "test/sft.jsonl" in downloads(merged)
    shared = shared_between(merged.questions.pick(merged.told()["id"].to_pylist()))
    assert shared and all(not any(each.counts.values()) for each in shared)
    merged_again = OpenRun("again", shutil.copytree(tmp_path / "merged", tmp_path / "again"))
    with pytest.raises(InputError, match="split, each for itself"):
        export_selection([merged, first], Order(), Storage(str(tmp_path / "leaky")), "leaky")
    export_selection([merged_again], Order(test=0.3), Storage(str(tmp_path / "anew")), "anew")
    anew = OpenRun("anew", tmp_path / "anew").told()["tags"].to_pylist()
    assert {sum(tag.startswith("split:") for tag in tags) for tags in anew} == {1}
    assert {tag for tags in anew for tag in tags if tag.startswith("split:")} == {"split:train", "split:test"}
    accepted = first.rows.read()["fate"].to_pylist().count("accepted")
    assert written.rows + sum(written.dropped.values()) == accepted
    for file in ("../config.yaml", "sft.jsonl/../../config.yaml", "/etc/passwd", "valid/../sft.jsonl", ""):
        with pytest.raises(InputError, match="is no file of this export"):
            download(merged, file)


def test_browsing_and_tagging(studio: str, page: Page, name: str, workspace: Path) -> None:
    table = OpenRun(name, workspace / name).told()
    total = len(table)
    page.goto(f"{studio}/data?run={name}")
    count, lines = page.locator("[data-test=count]"), page.locator(".data-table tbody tr")
    expect(count).to_have_text(f"{total} of {total} questions")
    expect(lines).to_have_count(20)
    page.get_by_role("button", name="Next page").click()
    expect(lines).to_have_count(total - 20)
    page.get_by_role("columnheader", name="Difficulty").click()
    page.wait_for_url("**sort=difficulty*")
    page.reload()
    hardest = max(value for value in table["difficulty"].to_pylist())
    page.get_by_role("columnheader", name="Difficulty").click()
    expect(lines.first).to_contain_text(f"{hardest:.2f}")
    page.get_by_label("Paradigm").click()
    option = page.get_by_role("option").first
    number = option.inner_text().rstrip(")").rsplit(" (", 1)[1]
    option.click()
    expect(count).to_have_text(f"{number} of {total} questions")
    page.get_by_role("textbox", name="Tag", exact=True).fill("set:mine")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("[data-test=rule]")).to_contain_text("+ set:mine: paradigm")
    expect(lines.first).to_contain_text("set:mine")
    page.get_by_role("textbox", name="Tag", exact=True).fill("split:train")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_contain_text("a word of the project's own")
    lines.first.get_by_role("link").click()
    expect(page.locator("[data-test=position]")).to_contain_text("1 of")


def test_figures_comparison_and_leakage(studio: str, page: Page, name: str, workspace: Path) -> None:
    page.goto(f"{studio}/data?run={name}&view=figures")
    expect(page.locator("[data-test=figure-hops]")).to_contain_text("Hops")
    page.get_by_role("tab", name="Compare").click()
    page.get_by_label("Compare with").click()
    page.get_by_role("option", name="small", exact=True).click()
    total = len(OpenRun(name, workspace / name).told())
    expect(page.locator("[data-test=overlap]")).to_contain_text(f"{total} (100.0 %)")
    expect(page.locator("[data-test=compare-hops]")).to_contain_text("browsing")
    page.get_by_role("tab", name="Duplicates and leakage").click()
    expect(page.locator("[data-test=parts]")).to_contain_text("not split")
    answer = OpenRun("small", workspace / "small").told()["answer"].to_pylist()[-1]
    content = json.dumps({"question": "Is this asked?", "answer": answer}).encode()
    page.locator("input[type=file]").set_input_files({"name": "../b.jsonl", "mimeType": "text/plain", "buffer": content})
    expect(page.locator("[data-test=met]")).to_contain_text(f"of {total} questions are asked")
    assert not list((workspace / ".studio/uploads").glob("*"))


def test_an_export_from_the_page(studio: str, page: Page, name: str, workspace: Path) -> None:
    page.goto(f"{studio}/data?run={name}&view=export&solved=always")
    for wrong in ("../outside", "a b", name):
        page.get_by_label("Name of the new folder").fill(wrong)
        page.get_by_role("button", name="Write", exact=True).click()
        expect(page.get_by_role("alert").filter(has_text=wrong).first).to_be_visible()
    page.get_by_label("Name of the new folder").fill("taken-home")
    page.get_by_role("button", name="Write", exact=True).click()
    expect(page.locator("[data-test=written]")).to_contain_text("taken-home")
    with page.expect_download() as got:
        page.get_by_role("link", name="sft.jsonl", exact=True).click()
    assert got.value.suggested_filename == "taken-home-sft.jsonl"
    assert Path(got.value.path()).read_bytes() == (workspace / "taken-home/export/sft.jsonl").read_bytes()
    for query in ("run=taken-home&file=../config.yaml", "run=..&file=sft.jsonl", "run=taken-home&file=%2Fetc%2Fpasswd", "file=sft.jsonl"):
        assert page.request.get(f"{studio}/download?{query}").status in (404, 422), query
    assert not (workspace.parent / "outside").exists()


def test_markup_is_shown_as_text(studio: str, page: Page, name: str) -> None:
    page.goto(f"{studio}/data?run={name}&text=onerror")
    expect(page.locator(".data-table tbody")).to_contain_text(HOSTILE)
    page.get_by_role("tab", name="Figures").click()
    expect(page.locator("[data-test=figure-tags]")).to_contain_text(HOSTILE)
    assert page.title() == "Data · HopForge Studio" and page.locator("img").count() == 0


def test_in_chinese(studio: str, page: Page, name: str) -> None:
    page.goto(f"{studio}/language/zh?back=data")
    page.goto(f"{studio}/data?run={name}&text=nothing+is+like+this")
    expect(page.locator("[data-test=panel]")).to_contain_text("没有符合条件的问题。")
