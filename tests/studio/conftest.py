"""The studio as a process of its own, and a real headless Chromium to look at it with.

While Playwright is open this thread has a running event loop: tests that need one of their own (`async def`, `asyncio.run`) stand in
`tests/serve/test_studio_*.py`, or run what they need in a thread or a process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from engine.errors import UserError
from scripts import looking
from tests.scripts.runs import run


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory, ray_local: None) -> Path:
    """A folder of runs with one finished small run, `small`. Tests may add runs, never change this one."""
    folder = tmp_path_factory.mktemp("studio") / "runs"
    run(folder / "small", "run.max_seeds=24", "policy.rollouts=2")
    return folder


@pytest.fixture(scope="session")
def studio(workspace: Path) -> Iterator[str]:
    """Address of a studio on `workspace` and the bundled graph."""
    with looking.studio(f"runs={workspace}") as url:
        yield url


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; `.ci/run` installs it."""
    with contextlib.ExitStack() as until_the_end:
        try:
            opened = until_the_end.enter_context(looking.browser())
        except UserError as error:
            (pytest.fail if os.environ.get("HOPFORGE_REQUIRE_BROWSER") else pytest.skip)(str(error))
        expect.set_options(timeout=20_000)  # machines are slow now and then
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of 1280×800 whose console must stay clean."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    shown, said = context.new_page(), list[str]()

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            said.append(f"{message.type}: {message.text}")

    shown.on("console", hear)
    shown.on("pageerror", lambda error: said.append(f"uncaught: {error}"))
    yield shown
    context.close()
    assert said == []
