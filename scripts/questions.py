"""Write a run's questions in the form of MedResearcher-R1's question files, for tools that read those.

python -m scripts.questions run.dir=runs/demo out=qa.jsonl
python -m scripts.synthesize questions=qa.jsonl policy=llm …       # reads them back, and MedResearcher-R1's own
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.errors import UserError
from engine.records import sorted_unique
from engine.storage import Storage
from samplers.questions.imports import write_questions
from scripts.arguments import parse_arguments
from scripts.verify import read_questions_of
from serve.runs.reading import open_run


def main(arguments: Sequence[str]) -> int:
    """Entry point; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.questions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run-dir", required=True, help="the run directory, e.g. runs/demo")
    parser.add_argument("--out", required=True, help="the .jsonl file to write")
    options = parse_arguments(parser, arguments)
    try:
        questions = sorted_unique(read_questions_of(open_run(options.run_dir)[0]))
        target = Path(options.out).absolute()
        Storage(str(target.parent)).write(target.name, write_questions(questions))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(questions):,} questions in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
