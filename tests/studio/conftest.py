"""The studio as a process of its own, and a real headless Chromium to look at it with.

While Playwright is open this thread has a running event loop: tests that need one of their own (`async def`, `asyncio.run`) stand in
`tests/serve/test_studio_*.py`, or run what they need in a thread or a process.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.scripts.runs import run
from tests.studio.process import started

QUIET = (
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""A browser that asks nobody but the studio."""


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory, ray_local: None) -> Path:
    """A folder of runs with one finished small run, `small`. Tests may add runs, never change this one."""
    folder = tmp_path_factory.mktemp("studio") / "runs"
    run(folder / "small", "run.max_seeds=24", "policy.rollouts=2")
    return folder


@pytest.fixture(scope="session")
def studio(workspace: Path) -> Iterator[str]:
    """Address of a studio on `workspace` and the bundled graph."""
    with started(f"runs={workspace}") as url:
        yield url


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; `.ci/run` installs it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("HOPFORGE_REQUIRE_BROWSER"):
            pytest.fail("no chromium")
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=[*QUIET])
        yield opened
        opened.close()


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
