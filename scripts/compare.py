"""Compare evaluations on the questions they share, or data sets: a table, a test, and a page with what was said each time.

    python -m scripts.compare runs/base runs/sft runs/grpo            # evaluations: paired test, and the questions that flipped
    python -m scripts.compare runs/base runs/sft out=/tmp/compare.html n=50
    python -m scripts.compare runs/demo runs/high                     # data sets: runs of scripts.synthesize or scripts.curate
    python -m scripts.compare a/export/sft.jsonl b/export/sft.jsonl   # or what they exported, or files of questions
    python -m scripts.compare runs/demo runs/high judge=llm llm.base_url=http://127.0.0.1:8000/v1 llm.model=NAME \\
        pairs=100 run.dir=runs/demo-or-high                           # a judge of pairs, each asked in both orders

The first is the one that the others are compared with. Of evaluations, rollouts that failed count on neither side, and questions that
only one of them was asked are left out and counted. Of data sets, a verdict counts only where it is the same in both orders; the same
command goes on where it was stopped and tries again what failed; any key of conf/evaluate.yaml that concerns llm, limits, tape,
pipeline or run can be set. The page is `compare.html`, the numbers of data sets are `compare.json`, in the last directory, or in
run.dir where there is a judge, unless out says otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from string import Template

from rich.table import Table

import scripts.report
from agents.records import ToolCall, Trajectory
from engine.errors import ConfigError, InputError, UserError
from engine.storage import Storage
from scripts.arguments import parse_arguments
from scripts.funnel import make_console
from scripts.report.markup import Html, join, table, tag
from scripts.score.dataset import read_dataset
from scripts.score.dataset_page import common_rows, number_rows, preference_rows, write_page
from scripts.score.preference import ask, prepare, seal
from serve.evals.comparison import Comparison
from serve.evals.dataset import figures, in_common
from serve.evals.evaluated import read_evaluated
from serve.evals.sides import HEADINGS, Side, apart, attempt, flipped, marks, paired, rows, shared

PAGE = "compare.html"

OWN = ("out", "n", "judge", "pairs")
"""Keys of this command; all others are keys of conf/evaluate.yaml, for the judge."""

LONGEST = 1200
"""Characters of a message that is shown."""


def main(arguments: Sequence[str]) -> int:
    """Entry point; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", help="two or more: directories of scripts.evaluate, or directories or files of data sets")
    parser.add_argument("--out", help="another file for the page")
    parser.add_argument("--n", type=int, default=20, help="flipped questions, or pairs, shown in full; default 20")
    parser.add_argument("--judge", choices=("none", "llm"), default="none", help="data sets: who compares pairs of rows; default none")
    parser.add_argument("--pairs", type=int, default=100, help="pairs drawn for the judge at most, two calls each; default 100")
    own = [each for each in arguments if each.startswith("-") or "=" not in each or each.partition("=")[0] in OWN]
    options = parse_arguments(parser, own)
    try:
        told = compare_all(options, [each for each in arguments if each not in own])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"page: {told}")
    return 0


def compare_all(options: argparse.Namespace, overrides: Sequence[str]) -> str:
    """Compare what is named, whatever it is; where the page is.

    Raises:
        UserError: they are not of one sort, or cannot be compared.
    """
    runs, judged = options.runs, options.judge != "none"
    if len(runs) < 2:
        raise InputError(runs[0], "is one alone", "name two or more to compare")
    evaluated = [is_evaluation(run) for run in runs]
    if any(evaluated) and not all(evaluated):
        odd = runs[evaluated.index(False)]
        raise InputError(
            odd, "holds no evaluation that has ended, and others do", "compare evaluations, or data sets, not one with the other"
        )
    if overrides and not judged:
        raise ConfigError(overrides[0].partition("=")[0], "is a key of the judge, and there is none", "add judge=llm, or leave it out")
    if all(evaluated):
        if judged:
            raise ConfigError(
                "judge", "compares data sets, and these are evaluations", "python -m scripts.evaluate rejudge=DIR grades again"
            )
        return compare_runs(runs, options.out, options.n)
    if judged and (len(runs) > 2 or options.pairs < 1):
        raise ConfigError("judge", f"compares two data sets in one pair or more, not {len(runs)} in {options.pairs}", "name two of them")
    return compare_sets(runs, options, overrides)


def is_evaluation(run: str) -> bool:
    """Whether a path is the directory of an evaluation that has ended."""
    return Storage(run).exists("score.json")


def compare_sets(paths: Sequence[str], options: argparse.Namespace, overrides: Sequence[str]) -> str:
    """Print data sets side by side, and what a judge says of them; write page and numbers; where the page is.

    Raises:
        UserError: a path holds no data set, or the judge cannot be asked.
    """
    sets = [read_dataset(path, _name(path, paths)) for path in paths]
    names, console = [data.name for data in sets], make_console()
    judging = prepare((sets[0], sets[1]), options.pairs, overrides) if options.judge != "none" else None
    found, common = [figures(data) for data in sets], [in_common(sets[0], data) for data in sets[1:]]
    console.print(_table("data sets", ("", *names), number_rows(found)))
    console.print(_table(f"in common with {names[0]}", ("", *names[1:]), common_rows(names[1:], common)))
    judged = ask(judging, console) if judging else None
    if judged:
        console.print(_table("what the judge says of pairs", ("better in both orders", "pairs"), preference_rows(judged)))
        for sentence in judged.preferences.sentences:
            console.print(sentence, highlight=False)
    folder, name = _place(options.out, judging.storage if judging else _beside(paths[-1]))
    told = {
        "sets": [{"name": data.name, **each} for data, each in zip(sets, found, strict=True)],
        "in_common": dict(zip(names[1:], common, strict=True)),
        "preference": {**judged.preferences.figures(), **judged.facts} if judged else None,
    }
    page = write_page(names, found, common, judged, options.n)
    folder.write(f"{Path(name).stem}.json", (json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())
    folder.write(name, page.encode(errors="replace"))
    if judging and judged:
        seal(judging, judged)
    return folder.path(name)


def compare_runs(runs: Sequence[str], out: str | None, shown: int) -> str:
    """Print the comparison and write its page; where that is.

    Raises:
        InputError: a directory holds no evaluation, or they share no question.
    """
    sides = [Side(_name(run, runs), read_evaluated(run)) for run in runs]
    first, *others = sides
    pairs = [(other, paired(first, other)) for other in others]
    console = make_console()
    console.print(_table(f"{len(shared(sides)):,} questions that all were asked", HEADINGS, rows(sides)))
    for other, pair in pairs:
        console.print(pair.sentence, highlight=False)
        console.print(f"  {len(pair.better):,} questions went better, {len(pair.worse):,} worse{apart(first, other)}", highlight=False)
    folder, name = _place(out, sides[-1].run.storage)
    folder.write(name, write_runs_page(sides, pairs, shown).encode(errors="replace"))
    return folder.path(name)


def write_runs_page(sides: Sequence[Side], pairs: Sequence[tuple[Side, Comparison]], shown: int) -> str:
    """The whole page."""
    frame, first = Path(scripts.report.__file__).parent, sides[0]
    sentences = [tag("p", pair.sentence) for _, pair in pairs]
    title = " against ".join(side.name for side in reversed(sides))
    body = [_section("Scores on the questions that all were asked", table(HEADINGS, rows(sides)))]
    for other, pair in pairs:
        facts = tag("p", f"{len(pair.better):,} went better, {len(pair.worse):,} worse{apart(first, other)}.", class_="muted")
        flips = [_flip(first, other, key) for key in flipped(first, other)[:shown]]
        body.append(_section(f"Questions that flipped: {first.name} and {other.name}", facts, *flips))
    return Template((frame / "page.html").read_text(encoding="utf-8")).substitute(
        title=join([f"{title} · HopForge"]),
        style=(frame / "style.css").read_text(encoding="utf-8"),
        header=join([tag("h1", title), *sentences]),
        body=join(body),
    )


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """The first column is text, the others are numbers."""
    lines = Table(title=title, title_justify="left")
    for place, heading in enumerate(headings):
        lines.add_column(heading, justify="right" if place else "left")
    for row in rows:
        lines.add_row(*row)
    return lines


def _place(out: str | None, otherwise: Storage) -> tuple[Storage, str]:
    """Folder and name of the page."""
    target = Path(out).absolute() if out else None
    return (Storage(str(target.parent)), target.name) if target else (otherwise, PAGE)


def _beside(path: str) -> Storage:
    """The run directory, or the folder a file lies in."""
    return Storage(path if "://" in path or Path(path).is_dir() else str(Path(path).absolute().parent))


def _name(run: str, runs: Sequence[str]) -> str:
    """The folder's own name, or the whole path where two share it."""
    names = Counter(Path(other).name for other in runs)
    return Path(run).name if names[Path(run).name] == 1 else run


def _flip(first: Side, other: Side, key: str) -> Html:
    question = next(row for row in first.run.questions if row.id == key)
    sides = [tag("div", tag("h3", tag("b", side.name), f" {marks(side, key)}"), _played(side, key)) for side in (first, other)]
    gold = tag("p", "gold: ", tag("b", question.answer))
    return tag("article", tag("p", question.text[:LONGEST]), gold, tag("div", *sides, class_="charts"))


def _played(side: Side, key: str) -> Html:
    """One rollout."""
    graded = attempt(side, key)
    if graded is None:
        return tag("p", "refused by the model server", class_="muted")
    found = next((row for row in _trajectories(side, key) if row.rollout == graded.rollout), None)
    told = tag("p", f"answered: {graded.given or 'nothing'} ({graded.error or 'right'}; {graded.reason[:200]})")
    if found is None:
        return told
    said = [tag("li", tag("b", message.role), f" {_shown(message.content)}", *_calls(message.tool_calls)) for message in found.messages[2:]]
    return join([told, tag("details", tag("summary", f"its {len(said)} messages"), tag("ol", *said))])


def _trajectories(side: Side, key: str) -> list[Trajectory]:
    return [row for row in side.run.trajectories if row.question_id == key]


def _calls(calls: Sequence[ToolCall]) -> list[Html]:
    return [tag("p", tag("code", f"{call.name} {call.arguments}"[:LONGEST])) for call in calls]


def _shown(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def _section(title: str, *inside: Html) -> Html:
    return tag("section", tag("h2", title), *inside)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
