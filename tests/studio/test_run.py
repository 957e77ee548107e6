"""The page that starts runs, watches them, stops them and takes them up again, in a real browser with real runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Page, expect

START_MS = 90_000
"""A run starts Ray first."""


def state(page: Page, text: str) -> None:
    expect(page.locator("[data-test=state]")).to_have_text(text, timeout=START_MS)


def order(page: Page, studio: str, name: str, seeds: int) -> None:
    page.goto(f"{studio}/run")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Seeds at most").fill(str(seeds))


def funnel(page: Page) -> dict[str, list[str]]:
    """Step → its cells."""
    rows = [row.split("\t") for row in page.locator(".run-table tbody").inner_text().split("\n")]
    return {row[0]: row[1:] for row in rows}


def test_a_run_is_started_with_the_command_that_is_shown_and_watched_until_it_ends(studio: str, workspace: Path, page: Page) -> None:
    order(page, studio, "watched", 8)
    page.get_by_role("button", name="Show the command").click()
    shown = page.locator("[data-test=command]")
    expect(shown).to_have_text(f"python -m scripts.synthesize run.dir={workspace}/watched graph=demo sampler=mixed run.max_seeds=8")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/run?name=watched")
    expect(shown).to_contain_text("run.max_seeds=8")
    state(page, "running")
    page.reload()  # what is shown is read from the directory
    state(page, "finished")
    steps = json.loads((workspace / "watched" / "manifest.json").read_text())["counts"]["steps"]
    expect(page.locator(".run-table tbody tr")).to_have_count(len(steps))
    told = funnel(page)
    assert told["sample"][0] == "8" and told["deduplicate"][2] == str(steps["deduplicate"]["rows"])
    expect(page.locator("[data-test=log]")).to_contain_text("training rows")
    page.get_by_role("link", name="All runs").click()
    expect(page.get_by_role("row", name=re.compile("watched.*synthesis.*finished"))).to_be_visible()


def test_a_run_is_stopped_and_taken_up_again(studio: str, workspace: Path, page: Page) -> None:
    order(page, studio, "stopped", 200)
    page.get_by_text("More keys").click()
    page.get_by_label("One key=value per line").fill("pipeline.rows_per_shard=8\npipeline.rows_per_block=8")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/run?name=stopped")
    page.locator(".run-table tbody tr").first.wait_for(timeout=START_MS)
    page.get_by_role("button", name="Stop", exact=True).click()
    state(page, "stopped")
    expect(page.locator("[data-test=log]")).to_contain_text("stopped on request")
    before = {path.name for path in (workspace / "stopped" / "ledger").iterdir()}
    page.get_by_role("button", name="Resume").click()
    state(page, "running")
    page.locator("[data-test=log]", has_text=re.compile("stopped on request.*run directory", re.DOTALL)).wait_for(timeout=START_MS)
    page.get_by_role("button", name="Stop", exact=True).click()  # while it starts: nothing is in flight yet
    state(page, "stopped")
    assert before <= {path.name for path in (workspace / "stopped" / "ledger").iterdir()}


def test_what_is_wrong_is_told_and_nothing_is_started(studio: str, workspace: Path, page: Page, tmp_path: Path) -> None:
    order(page, studio, "refused", 8)
    page.get_by_text("More keys").click()
    more = page.get_by_label("One key=value per line")
    for line, told in (("run.dir=/tmp/elsewhere", "not set from a browser"), ("sampler.siz=3", "did you mean sampler.size")):
        more.fill(line)
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_text(told)).to_be_visible()
    broken = tmp_path / "seeds.csv"
    broken.write_bytes(b"\x00\xff\x00")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Seed file").click()
    chooser.value.set_files(broken)
    expect(page.get_by_text("seeds.csv, line 1: is not UTF-8")).to_be_visible()
    expect(page.locator("[data-test=seeds]")).to_have_text("Seeds: all entities of the graph")
    assert not (workspace / "refused").exists()


def test_seeds_are_uploaded_and_stand_in_the_command(studio: str, page: Page, tmp_path: Path) -> None:
    seeds = tmp_path / "my seeds.csv"
    seeds.write_text("entity\nimatinib\n")
    page.goto(f"{studio}/run")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Seed file").click()
    chooser.value.set_files(seeds)
    expect(page.locator("[data-test=seeds]")).to_have_text(re.compile(r"Seeds: [0-9a-f]{16}\.csv"))
    kept = page.locator("[data-test=seeds]").inner_text().removeprefix("Seeds: ")
    page.get_by_role("button", name="Show the command").click()
    expect(page.locator("[data-test=command]")).to_contain_text(f".studio/uploads/{kept}")
    page.goto(f"{studio}/run?seeds={kept}")
    expect(page.locator("[data-test=seeds]")).to_have_text(f"Seeds: {kept}")
    page.goto(f"{studio}/run?seeds=../../etc/passwd")
    expect(page.locator("[data-test=seeds]")).to_have_text("Seeds: all entities of the graph")


def test_a_run_that_is_none_is_told(studio: str, page: Page) -> None:
    page.goto(f"{studio}/run?name=../../etc")
    expect(page.get_by_role("alert")).to_contain_text("is no name of a run")
