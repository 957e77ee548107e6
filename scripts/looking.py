"""A studio, and a browser to look at it with, for as long as a block lasts: for pictures, measurements and tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import UserError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",  # as root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""A browser that asks nobody but the studio."""


@contextmanager
def studio(*overrides: str, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """`python -m scripts.studio OVERRIDES` on a free port, until the block ends; its address.

    Args:
        env: further environment variables, a token for example.

    Raises:
        UserError: it does not start; it has said why.
    """
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "scripts.studio", "port=0", *overrides], stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    )
    try:
        assert process.stdout
        told = re.search(r"http://\S+", process.stdout.readline())
        if told is None:
            raise UserError("the studio does not start\n  → see what it says above")
        yield told[0].rstrip("/")
    finally:
        process.terminate()
        process.wait()


@contextmanager
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless, until the block ends.

    Raises:
        UserError: it, or Playwright, is not installed.
    """
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        raise UserError("no Chromium on this machine\n  → apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise UserError(
            "the browser is driven by playwright, not installed\n  → pip install -c constraints.txt -e '.[dev,studio]'"
        ) from None
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=[*QUIET])
        yield opened
        opened.close()
