"""Ask in a real browser: one click makes a question with its proof; the answer stays hidden until somebody wants it."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from scripts.bench.simulator import SimulatorProcess


def test_from_a_subgraph_to_a_question_its_proof_and_its_answer(studio: str, page: Page) -> None:
    page.goto(f"{studio}/explore?seed=imatinib&draw=0")
    page.get_by_role("button", name="Ask a question about this").click()
    question = page.get_by_role("heading", level=2).first
    expect(question).to_contain_text("?")
    expect(page.get_by_role("log")).to_contain_text("proved")
    rows = page.locator("tbody tr")
    expect(rows.first).to_contain_text("→")
    assert all(int(left) >= 3 for left in page.locator("tbody td.number").all_inner_texts())
    expect(page.get_by_text("Hidden entities")).to_have_count(0)

    page.get_by_role("button", name="Show the answer").click()
    expect(page.get_by_role("heading", name="Hidden entities")).to_be_visible()
    expect(page.get_by_role("heading", name="Evidence")).to_be_visible()
    expect(page.locator("ol li").first).to_be_visible()
    page.get_by_role("button", name="Prove again").click()
    expect(page.get_by_role("status").filter(has_text="found nothing wrong")).to_be_visible()

    first, address = question.inner_text(), page.url
    page.get_by_role("button", name="Another one").click()
    expect(page.get_by_label("Random seed")).to_have_value("1")
    expect(question).not_to_have_text(first)
    page.go_back()
    expect(question).to_have_text(first)
    assert page.url == address


def test_what_no_question_came_of_is_told_with_its_cause_and_every_try(studio: str, page: Page) -> None:
    page.goto(f"{studio}/ask?seed=imatinib&draw=0&hops=8&paradigm=chain&difficulty=easy")
    expect(page.get_by_role("alert")).to_contain_text("tries ended in")
    assert page.get_by_role("log").locator(".bad").count() > 1
    page.goto(f"{studio}/ask?seed=nobody%20of%20that%20name")
    expect(page.get_by_role("alert")).to_contain_text("unknown_seed")
    page.goto(f"{studio}/ask")
    expect(page.get_by_role("link", name="look for one", exact=False).or_(page.get_by_role("link", name="Look around"))).to_be_visible()


def test_a_models_words_are_taken_when_they_pass_and_a_model_that_is_not_there_is_told(studio: str, page: Page) -> None:
    page.goto(f"{studio}/ask?seed=imatinib&draw=0")
    question = page.get_by_role("heading", level=2).first
    template = question.inner_text()
    page.get_by_text("Let a model word it").click()
    with SimulatorProcess(latency_s=0.0) as simulator:
        page.get_by_label("Address of the endpoint").fill(simulator.url)
        page.get_by_role("button", name="Word it", exact=True).click()
        expect(page.get_by_role("status").last).to_contain_text("they gave the same query")
    expect(question).not_to_have_text(template)
    page.get_by_role("button", name="Word it", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("model_unreachable")
    page.get_by_label("Variable with the key").fill("PATH")
    page.get_by_role("button", name="Word it", exact=True).click()
    expect(page.get_by_role("alert").last).to_contain_text("is no variable for a key")
