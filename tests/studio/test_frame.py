"""What all pages share: the way to the others, the language, errors that are told, and a clean console."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from scripts import looking
from serve.studio.words import LANGUAGES, table

PAGES = ("explore", "ask", "run", "read", "data", "scores")


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_and_leads_to_the_others(studio: str, page: Page, name: str) -> None:
    page.goto(f"{studio}/{name}")
    expect(page.get_by_role("navigation").get_by_role("link")).to_have_text([other.capitalize() for other in PAGES])
    expect(page.locator("[aria-current=page]")).to_have_text(name.capitalize())


def test_the_language_is_chosen_by_the_browser_and_then_by_the_reader(studio: str, page: Page) -> None:
    page.goto(f"{studio}/data?run=small&view=figures")
    page.get_by_text("中文").click()
    expect(page.locator("[aria-current=page]")).to_have_text("数据")
    assert page.url == f"{studio}/data?run=small&view=figures"
    page.goto(f"{studio}/run")
    expect(page.locator("[aria-current=page]")).to_have_text("运行")


def test_each_text_stands_in_both_languages_with_the_same_places_to_fill() -> None:
    for key, texts in table().items():
        assert len(texts) == len(LANGUAGES)
        english, chinese = (sorted(re.findall(r"{(\w+)", text)) for text in texts)
        assert english == chinese, key


def test_a_person_enters_by_the_form(tmp_path: Path, browser: Browser) -> None:
    with looking.studio(f"runs={tmp_path}", "token_env=STUDIO_TEST_TOKEN", env={"STUDIO_TEST_TOKEN": "s3cret & long"}) as guarded:
        page = browser.new_page()
        page.goto(f"{guarded}/run")
        page.get_by_label("Token").fill("not it")
        page.get_by_role("button").click()
        expect(page.get_by_text("That is not this studio's token.")).to_be_visible()
        page.get_by_label("Token").fill("s3cret & long")
        page.get_by_role("button").click()
        expect(page.locator("[aria-current=page]")).to_have_text("Explore")
        page.close()
