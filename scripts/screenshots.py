"""Pictures of every page of the studio, taken in a real browser: those of the documentation, or of your own runs.

    python -m scripts.screenshots runs=runs out=docs/images
    python -m scripts.screenshots runs=runs out=/tmp/pictures language=zh seed=imatinib

Needs Chromium (`apt-get install chromium`, and for Chinese a font such as fonts-wqy-zenhei) and the extras `studio` and `dev`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InputError, UserError
from scripts.arguments import parse_arguments
from scripts.looking import browser, studio
from serve.studio.workspace import RunKind, Workspace

if TYPE_CHECKING:
    from playwright.sync_api import Page

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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
