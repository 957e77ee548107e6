"""What a tour came to: a table, a picture of the learning curves, and one page that needs nothing but a browser."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from string import Template

import pyarrow.parquet as pq
from rich.table import Table

from agents.records import StopReason
from engine.records import from_table
from engine.storage import Storage
from rl.curves import Panel, draw, read_curve
from rl.score import Accuracy, Outcome, Scored, accuracy, by_hops, outcomes
from scripts import report as page_files
from scripts.report import markup
from scripts.report.markup import Html, join, tag
from serve.evals.records import Graded

SCORES, CURVES, PAGE = "scores.json", "curves.png", "report.html"
ANEW = (
    "Where words differ, the model had written a name in other tokens than its tokenizer writes it in: in this process it goes on "
    "from the tokens it wrote, a server reads the whole conversation anew at every turn."
)
Scores = Mapping[str, Mapping[str, Sequence[Scored]]]
"""Model → set of questions → how each question ended."""


def read_scores(run_dir: Path) -> Scores:
    """What `scripts.tour` wrote there."""
    found = json.loads((run_dir / SCORES).read_text(encoding="utf-8"))
    return {
        model: {name: [Scored(**{**row, "outcome": Outcome(row["outcome"])}) for row in rows] for name, rows in sets.items()}
        for model, sets in found.items()
    }


@dataclass(frozen=True)
class Served:
    """What the evaluation over HTTP came to."""

    rows: Sequence[Scored]
    """The test set, as `rl.score` words it."""
    told: str
    """The score with its interval, as `scripts.evaluate` gives it."""


def read_served(folder: Path) -> Served:
    """What `scripts.evaluate` wrote there."""
    told = json.loads((folder / "score.json").read_text(encoding="utf-8"))["accuracy"]
    interval = f"95 % interval {told['low']:.1%} to {told['high']:.1%} over {told['clusters']:,} clusters"
    graded = from_table(pq.read_table(folder / "rollouts.parquet"), Graded)
    return Served([_scored(row) for row in graded], f"{told['value']:.1%} right ({interval})")


def _scored(row: Graded) -> Scored:
    missed = {StopReason.ANSWERED: Outcome.WRONG, StopReason.GAVE_UP: Outcome.NO_ANSWER}
    outcome = Outcome.RIGHT if row.is_right else missed.get(row.stop_reason, Outcome.LIMIT)
    return Scored(question_id=row.question_id, hops=row.hops, outcome=outcome, answer=row.given or "", calls=row.tool_calls)


def alike(scores: Scores, served: Served) -> str:
    """How far the last model does over HTTP what it does in this process, question by question."""
    model, sets = list(scores.items())[-1]
    here = {row.question_id: row for row in sets["test"]}
    both = [(here[row.question_id], row) for row in served.rows if row.question_id in here]
    ends = sum((one.outcome is Outcome.RIGHT) == (other.outcome is Outcome.RIGHT) for one, other in both)
    words = sum(one.answer == other.answer for one, other in both)
    told = f"{model} over HTTP: {served.told}; of {len(here):,} questions {ends:,} end right or wrong as in this process"
    return f"{told}, {words:,} in the same words"


def groups(sets: Mapping[str, Sequence[Scored]]) -> dict[str, Accuracy]:
    """Accuracy on the test set, by hops, and on the questions about held-out entities."""
    found = {"all": accuracy(sets["test"])}
    found |= {f"{hops} hop{'s' if hops > 1 else ''}": item for hops, item in by_hops(sets["test"]).items()}
    return found | {"new entities": accuracy(sets["entities"])}


def table(scores: Scores, served: Served) -> Table:
    """Accuracy with 95 % intervals; the columns are groups of held-out questions."""
    found = {model: groups(sets) for model, sets in _with(scores, served).items()}
    shown = Table(title="held-out questions answered right (95 % interval, Wilson)")
    shown.add_column("model")
    for name, item in next(iter(found.values())).items():
        shown.add_column(f"{name} (n={item.count})", justify="right")
    for model, items in found.items():
        shown.add_row(model, *(spell(item) for item in items.values()))
    return shown


def _with(scores: Scores, served: Served) -> Scores:
    """A row more: the last model over HTTP, which is asked the test set alone."""
    return {**scores, f"{list(scores)[-1]} over HTTP": {"test": served.rows, "entities": []}}


def spell(item: Accuracy) -> str:
    """`0.62 (0.57-0.66)`."""
    return f"{item.share:.2f} ({item.low:.2f}-{item.high:.2f})" if item.count else "-"


def verdict(scores: Scores) -> str:
    """Whether each model is better than the one before it on the test set, and so clearly that the intervals do not overlap."""
    found = [(model, accuracy(sets["test"])) for model, sets in scores.items()]
    told = []
    for (worse, before), (better, after) in pairwise(found):
        clear = after.low > before.high
        told.append(f"{better} > {worse}, intervals apart" if clear else f"{better} is not clearly better than {worse}")
    return "; ".join(reversed(told))


def write(run_dir: Path, served: Path, seconds: Mapping[str, object], commands: Sequence[str]) -> None:
    """`curves.png` and `report.html` of a tour whose models are scored.

    Args:
        served: where the evaluation over HTTP is.
        seconds: step → how long it took.
        commands: of the steps, in order.
    """
    scores, over_http, storage = read_scores(run_dir), read_served(served), Storage(str(run_dir))
    picture = draw(panels(run_dir), {model: groups(sets) for model, sets in scores.items()})
    storage.write(CURVES, picture)
    folder = Path(next(iter(page_files.__path__)))
    page = Template((folder / "page.html").read_text(encoding="utf-8")).substitute(
        title="a tour · HopForge",
        style=(folder / "style.css").read_text(encoding="utf-8"),
        header=join([tag("h1", "From questions to a model that answers them"), tag("p", verdict(scores), class_="facts")]),
        body=join([_results(scores, over_http), _curves(picture), _endings(_with(scores, over_http)), _steps(seconds, commands)]),
    )
    storage.write(PAGE, page.encode())


def panels(run_dir: Path) -> list[Panel]:
    """The curves of both trainings."""
    sft, grpo = run_dir / "sft" / "metrics.jsonl", run_dir / "grpo" / "metrics.jsonl"
    losses = [read_curve(sft, "loss", "training", smooth=True), read_curve(sft, "valid_loss", "kept apart")]
    rewards = [
        read_curve(grpo, "accuracy", "rollouts (temperature 1)", smooth=True),
        read_curve(grpo, "valid_accuracy", "kept apart (greedy)"),
    ]
    return [Panel("SFT", "loss per token", losses), Panel("GRPO", "accuracy", rewards)]


def _results(scores: Scores, served: Served) -> Html:
    found = {model: groups(sets) for model, sets in _with(scores, served).items()}
    heads = ["model", *(f"{name} (n={item.count})" for name, item in next(iter(found.values())).items())]
    note = "None of these questions is in the training set; “new entities” are in none of its questions. 95 % intervals after Wilson."
    rows = [[model, *map(spell, items.values())] for model, items in found.items()]
    return _section("Accuracy", markup.table(heads, rows), tag("p", note), tag("p", f"{alike(scores, served)}. {ANEW}"))


def _curves(picture: bytes) -> Html:
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    return _section("Learning", tag("img", src=source, alt="learning curves and accuracy", style="max-width:100%"))


def _endings(scores: Scores) -> Html:
    rows = [[model, *(str(outcomes(sets["test"])[outcome]) for outcome in Outcome)] for model, sets in scores.items()]
    return _section(
        "How the questions of the test set ended", markup.table(["model", *(outcome.replace("_", " ") for outcome in Outcome)], rows)
    )


def _steps(seconds: Mapping[str, object], commands: Sequence[str]) -> Html:
    rows = [[name, str(timedelta(seconds=round(float(str(took)))))] for name, took in seconds.items()]
    return _section("Steps", markup.table(["step", "time"], rows), tag("pre", "\n".join(commands)))


def _section(title: str, *inside: Html) -> Html:
    return tag("section", tag("h2", title), *inside)
