"""The page of scores in a real browser: evaluations, two side by side, learning curves, and a model asked live."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from samplers.records import Question
from serve.evals.benchmarks.benchmark import question
from tests.scripts.test_compare import evaluation
from tests.scripts.test_evaluate import run as evaluate
from tests.scripts.test_synthesize import simulator
from tests.studio.toured import tour

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def evaluated(workspace: Path) -> Path:
    """Two evaluations of the small run, by the script and by a hasty one, and two of questions that hold markup."""
    for policy in ("scripted", "hasty"):
        evaluate(workspace / policy, f"dataset={workspace / 'small'}", f"policy={policy}", "rollouts=2", "run.max_seeds=12")
    asked = [question("x", f"Q{number} {MARKUP}?", f"A{number}") for number in range(12)]
    whole = score(workspace / "scripted")
    for name, right in (("few", 1), ("many", 9)):
        _listed(workspace / name, right, asked, whole)
    tour(workspace / "toured")
    return workspace


def _listed(folder: Path, right: int, asked: list[Question], whole: dict[str, Any]) -> None:
    """What a comparison reads, and from another score what the list shows."""
    evaluation(folder, right, asked)
    (folder / "config.yaml").write_text("{}")
    dataset = {**whole["dataset"], "title": MARKUP}
    (folder / "score.json").write_text(json.dumps({**whole, **score(folder), "model": whole["model"], "dataset": dataset}))


def score(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "score.json").read_text())
    return found


def test_one_evaluation_with_what_its_numbers_mean(studio: str, evaluated: Path, page: Page) -> None:
    share = score(evaluated / "hasty")["accuracy"]["value"]
    page.goto(f"{studio}/scores?name=hasty")
    expect(page.locator("[data-test=sentence]")).to_contain_text(f"right in {100 * share:.1f} % of its attempts")
    expect(page.get_by_role("row", name=re.compile("pass@1 The chance that one attempt is right"))).to_contain_text(f"{100 * share:.1f} %")
    expect(page.get_by_text("Where answers went wrong")).to_be_visible()
    page.locator(".scores-question a").first.click()
    page.wait_for_url("**/read?run=hasty&*")
    expect(page.locator("[data-test=count]")).to_contain_text("2")


def test_two_are_chosen_and_compared_question_by_question(studio: str, evaluated: Path, page: Page) -> None:
    page.goto(f"{studio}/scores?name=hasty")
    page.get_by_label("Compare with").click()
    page.get_by_role("option", name="scripted").click()
    page.wait_for_url("**/scores?name=scripted&with=hasty")
    expect(page.locator("[data-test=sentence]")).to_contain_text(re.compile("hasty (differs from|and scripted cannot be told apart)"))
    page.goto(f"{studio}/scores?name=few&with=many")
    expect(page.locator("[data-test=sentence]")).to_contain_text("many differs from few by +66.7 points")
    expect(page.locator("[data-test=flip]")).to_have_count(8)
    expect(page.locator("[data-test=flip]").first).to_contain_text(MARKUP)  # as text
    first = page.locator("[data-test=flip]").first.get_by_role("link", name="many")
    assert re.search(r"/read\?run=many&text=\w+", first.get_attribute("href") or "")


def test_two_lines_of_the_list_are_compared(studio: str, evaluated: Path, page: Page) -> None:
    page.goto(f"{studio}/scores")
    expect(page.get_by_role("row", name=re.compile("few")).first).to_contain_text(MARKUP)
    expect(page.get_by_role("button", name="Compare")).to_be_disabled()
    for name in ("scripted", "hasty"):
        page.get_by_role("row", name=re.compile(f"^{name}")).get_by_role("checkbox").click()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/scores?name=scripted&with=hasty")


def test_curves_of_a_training_and_scores_of_a_tour(studio: str, evaluated: Path, page: Page) -> None:
    page.goto(f"{studio}/scores")
    page.get_by_role("link", name="Tour: toured").click()
    expect(page.locator("[data-test=sentence]")).to_have_text("SFT > base, intervals apart")
    expect(page.get_by_role("row", name=re.compile(r"all \(n=50\)"))).to_contain_text("80.0 (67–89)")
    expect(page.get_by_text("SFT loss")).to_be_visible()
    page.goto(f"{studio}/scores?training=toured/sft")
    expect(page.locator("canvas")).to_have_count(1)


def test_a_model_is_asked_and_every_step_appears(studio: str, page: Page) -> None:
    with simulator() as (url, _):
        page.goto(f"{studio}/scores?question=Which+drug+inhibits+BCR-ABL1%3F")
        page.get_by_label("Address of the endpoint").fill(url)
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.locator("[data-test=answer]")).to_be_visible(timeout=30_000)
        steps = page.locator("[data-test=steps]")
        expect(steps).to_contain_text("→ search")
        expect(steps).to_contain_text("model calls")
    page.get_by_label("Variable with the key").fill("HOME")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(steps).to_contain_text("is no variable for a key")


def test_an_answer_that_does_not_come_is_stopped(studio: str, page: Page) -> None:
    page.goto(f"{studio}/scores?question=Why%3F")
    page.get_by_label("Address of the endpoint").fill("http://127.0.0.1:1/v1")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("[data-test=steps]")).to_contain_text("stopped")
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_enabled()


@pytest.mark.parametrize("query", ["name=small", "name=../../etc", "training=small", "name=few&with=nothing"])
def test_what_is_no_score_is_told(studio: str, evaluated: Path, page: Page, query: str) -> None:
    page.goto(f"{studio}/scores?{query}")
    expect(page.get_by_role("alert")).to_be_visible()
