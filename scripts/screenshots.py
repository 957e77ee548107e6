"""Pictures of every page of the studio, taken in a real browser: those of the documentation, or of your own runs.

    python -m scripts.screenshots runs=runs out=docs/images
    python -m scripts.screenshots runs=runs out=/tmp/pictures language=zh seed=imatinib

Needs Chromium (`apt-get install chromium`, and for Chinese a font such as fonts-wqy-zenhei) and the extras `studio` and `dev`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InputError, UserError
from scripts.arguments import parse_arguments
from serve.studio.workspace import RunKind, Workspace

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

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
SIZE = (1280, 800)
SETTLED_MS = 1500
"""For charts to be drawn."""


def main(arguments: Sequence[str]) -> int:
    """Entry point; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.screenshots", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", default="runs", help="folder of run directories; default runs")
    parser.add_argument("--out", default="docs/images", help="folder of the pictures; default docs/images")
    parser.add_argument("--seed", default="imatinib", help="entity of the graph's pages; default imatinib")
    parser.add_argument("--language", default="en", choices=("en", "zh"))
    options = parse_arguments(parser, arguments)
    try:
        for written in take(options.runs, Path(options.out), options.seed, options.language):
            print(written)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def take(runs: str, out: Path, seed: str, language: str) -> Iterator[Path]:
    """The pictures' files, as they are written.

    Raises:
        UserError: there is no browser, no finished run, or the studio does not start.
    """
    found = Workspace(runs).runs()
    made = [run for run in found if run.kind == RunKind.SYNTHESIS and (run.path / "manifest.json").exists()]
    if not made:
        raise InputError(runs, "holds no finished run", "make one with: python -m scripts.synthesize run.name=demo")
    scored = [run for run in found if run.kind == RunKind.EVALUATION]
    pages = {
        "explore": f"explore?seed={seed}&draw=0",
        "ask": f"ask?seed={seed}&draw=0",
        "run": f"run?name={made[0].name}",
        "read": f"read?run={made[0].name}",
        "data": f"data?run={made[0].name}",
        "scores": f"scores?name={scored[0].name}" if scored else "scores",
    }
    out.mkdir(parents=True, exist_ok=True)
    with studio(f"runs={runs}", f"language={language}") as url, browser() as opened:
        page = opened.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        for name, path in pages.items():
            page.goto(f"{url}/{path}", wait_until="networkidle")
            _settle(page)
            picture = out / f"studio-{name}{'' if language == 'en' else f'-{language}'}.png"
            page.screenshot(path=picture)
            yield picture


def _settle(page: Page) -> None:
    """Until nothing is in the making any more."""
    page.wait_for_function("[...document.querySelectorAll('.q-spinner')].every(spinner => !spinner.checkVisibility())")
    page.wait_for_timeout(SETTLED_MS)


@contextmanager
def studio(*overrides: str) -> Iterator[str]:
    """`python -m scripts.studio OVERRIDES` on a free port, until the block ends; its address.

    Raises:
        UserError: it does not start; it has said why.
    """
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "scripts.studio", "port=0", *overrides], stdout=subprocess.PIPE, text=True
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
