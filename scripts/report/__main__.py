"""Write one HTML page about a run: where rows went and why, how fast, at what cost, what the questions are like.

    python -m scripts.report run.dir=runs/demo
    python -m scripts.report run.dir=runs/demo out=/tmp/demo.html

The page is `report.html` in the run directory. It needs no network and no script, and can be mailed as it is.
A run that goes on or broke off is reported as far as it came.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.errors import UserError
from engine.storage import Storage
from scripts.arguments import parse_arguments
from scripts.report.page import write_page
from serve.runs.material import read_material

PAGE = "report.html"
"""In the run directory."""


def main(arguments: Sequence[str]) -> int:
    """Entry point; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run-dir", required=True, help="the run directory, e.g. runs/demo")
    parser.add_argument("--out", help="another file to write; its links to the exports then do not work")
    options = parse_arguments(parser, arguments)
    try:
        print(report(options.run_dir, options.out))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def report(run_dir: str, out: str | None = None) -> str:
    """Write the page; where it is.

    Raises:
        InputError: the folder is no run directory.
        UserError: the page cannot be written.
    """
    storage, material = read_material(run_dir)
    page = write_page(material).encode(errors="replace")
    target = Path(out).absolute() if out else None
    folder, name = (Storage(str(target.parent)), target.name) if target else (storage, PAGE)
    folder.write(name, page)
    return folder.path(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
