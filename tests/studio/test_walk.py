"""The whole way in one sitting: seeds → graph → sample → question → run → trajectory → mark → export → score."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import FilePayload, Page, expect

from tests.scripts.test_evaluate import run as evaluate

SEEDS = ("imatinib", "warfarin", "metformin", "liver", "cystic fibrosis", "hemophilia A")
START_MS = 90_000
"""A run starts Ray first."""


def test_from_a_list_of_seeds_to_a_score(studio: str, workspace: Path, page: Page, tmp_path: Path) -> None:
    page.goto(studio)
    expect(page.get_by_role("link", name="liver")).to_be_visible()
    content = "\n".join(["entity", *SEEDS]).encode()
    page.locator("input[type=file]").set_input_files(FilePayload(name="mine.csv", mimeType="text/csv", buffer=content))
    expect(page.get_by_text(f"of {len(SEEDS)} seeds are in the graph")).to_be_visible()
    uploaded = page.url
    page.get_by_role("button", name="imatinib").click()
    expect(page.get_by_role("status").first).to_contain_text("pairs joined")
    page.get_by_role("button", name="Draw subgraph").click()
    expect(page.get_by_text("Drawn by")).to_be_visible()

    page.get_by_role("button", name="Ask a question about this").click()
    expect(page.get_by_role("heading", level=2).first).to_contain_text("?")
    page.get_by_role("button", name="Prove again").click()
    expect(page.get_by_role("status").filter(has_text="found nothing wrong")).to_be_visible()

    page.goto(uploaded)
    page.get_by_role("link", name="Run them all").click()
    page.get_by_label("Name").fill("walked")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("[data-test=state]")).to_have_text("finished", timeout=START_MS)

    page.get_by_role("link", name="Read its trajectories").click()
    expect(page.locator("[data-test=verdict]")).to_contain_text("training row")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("button", name="Accept")).to_have_attribute("aria-pressed", "true")

    page.goto(f"{studio}/data?run=walked")
    page.get_by_role("tab", name="Export").click()
    page.get_by_label("Marks of people").click()
    page.get_by_role("option", name="accepted rows only").click()
    page.get_by_label("Name of the new folder").fill("kept")
    page.get_by_role("button", name="Write", exact=True).click()
    expect(page.locator("[data-test=written]")).to_contain_text("kept")
    with page.expect_download() as got:
        page.get_by_role("link", name="sft.jsonl", exact=True).click()
    rows = [json.loads(line) for line in Path(got.value.path()).read_text().splitlines()]
    assert len(rows) == 1 and rows[0]["messages"][-1]["role"] == "assistant"

    score = evaluate(workspace / "walked-score", f"dataset={workspace / 'walked'}", "policy=scripted", "rollouts=1")
    page.goto(f"{studio}/scores?name=walked-score")
    expect(page.locator("[data-test=sentence]")).to_contain_text(f"{100 * score['accuracy']['value']:.1f} %")
