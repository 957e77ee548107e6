"""The page, section by section."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from string import Template

from engine.llm.retry import ModelCause
from engine.telemetry.latency import percentiles
from samplers.records import ANSWER, Question
from scripts.report.charts import bars, binned, clock, columns, line_chart, stacked
from scripts.report.markup import Html, join, table, tag
from serve.runs import timeline
from serve.runs.material import MAKES, Loss, Material, Step
from serve.runs.reading import path_in_words

SHOWN = 5
"""Questions at each end of the difficulty scale."""

LONGEST = 400
"""Characters of an example's detail."""


def write_page(run: Material) -> str:
    """The whole page: one file that needs nothing but a browser."""
    folder = Path(__file__).parent
    return Template((folder / "page.html").read_text(encoding="utf-8")).substitute(
        title=join([f"{run.name} · HopForge"]),
        style=(folder / "style.css").read_text(encoding="utf-8"),
        header=_header(run),
        body=join(
            part
            for part in (_funnel(run), _losses(run), _speed(run), _calls(run), _questions(run), _rollouts(run), _extremes(run), _files(run))
        ),
    )


def _header(run: Material) -> Html:
    config, manifest = run.config, run.manifest or {}
    model = config["llm"]["roles"].get("agent", {}).get("model") or config["llm"]["default"]["model"]
    policy = config["policy"]["kind"] + (f" ({model})" if config["policy"]["kind"] == "llm" and model else "")
    worlds = Counter(question.certificate.world.value for question in run.questions if question.certificate)
    facts = [
        ("graph", f"{run.graph} {str(config.get('graph_hash', ''))[:8]}"),
        ("policy", policy),
        ("seed", str(config["run"]["seed"])),
        ("settings", str(manifest.get("settings", "–"))[:8]),
        ("proofs", ", ".join(f"{count:,} {world}-world" for world, count in sorted(worlds.items())) or "none"),
    ]
    named = [tag("span", tag("b", name), f" {value}") for name, value in facts]
    unfinished = tag("p", "This run has not finished: the counts are of what is committed so far.", class_="warning")
    return join([tag("h1", run.name), tag("p", *named, class_="facts"), Html("") if run.manifest else unfinished, _tiles(run)])


def _tiles(run: Material) -> Html:
    made = {step.name: step.rows for step in run.steps}
    seeds = (run.manifest or {}).get("counts", {}).get("seeds", 0) or made.get("sample", 0)
    tiles = [
        ("seeds", f"{seeds:,}"),
        ("questions", f"{len(run.questions):,}"),
        ("trajectories", f"{made.get('rollout', 0):,}"),
        ("training rows", f"{made.get('deduplicate', 0):,}"),
        ("working time", clock(sum(leg.seconds for leg in run.legs))),
        ("cost", _usd((run.manifest or {}).get("cost_usd"))),
    ]
    return tag("div", *(tag("div", tag("strong", value), tag("span", name), class_="tile") for name, value in tiles), class_="tiles")


def _funnel(run: Material) -> Html:
    most = max((step.attempts for step in run.steps), default=1)
    legend = [tag("span", tag("i", class_=f"key {name}"), name) for name in ("rows", "rejected", "failed")]
    return _section("Where the rows went", tag("p", *legend, class_="legend"), *(_step(step, most) for step in run.steps))


def _step(step: Step, most: int) -> Html:
    ranked = sorted(step.causes.items(), key=lambda item: (-item[1], item[0]))
    causes = [tag("a", f"{cause} {count:,}", href=f"#{step.name}-{cause}", class_="chip") for cause, count in ranked]
    return tag(
        "div",
        tag("div", tag("b", step.name), tag("span", f"{step.attempts:,} → {step.rows:,} {MAKES.get(step.name, 'rows')}"), class_="head"),
        stacked([("rows", step.rows), ("rejected", step.rejected), ("failed", step.failed)], most),
        tag("div", *causes, class_="chips") if causes else Html(""),
        class_="step",
    )


def _losses(run: Material) -> Html:
    if not run.losses:
        return Html("")
    return _section("Why rows were lost", *(_loss(loss) for loss in run.losses))


def _loss(loss: Loss) -> Html:
    kind = "rejected for good" if loss.final else "failed, tried again on the next run"
    head = tag("h3", tag("b", loss.cause), f" {loss.count:,} in {loss.step}, {kind}")
    examples = [tag("li", tag("code", ending.input_id[:8]), f" {_cut(ending.detail) or 'no detail'}") for ending in loss.examples]
    return tag("div", head, tag("ul", *examples, class_="plain"), class_="loss", id=f"{loss.step}-{loss.cause}")


def _speed(run: Material) -> Html:
    if not run.legs:
        return Html("")
    charts = [line_chart("Attempts finished", "per second", timeline.throughput(run.legs), _borders(run))]
    if timeline.call_totals(run.legs):
        spending = timeline.spending(run.legs)
        charts += [
            line_chart("Model calls", "per second", timeline.call_rates(run.legs), _borders(run)),
            line_chart("Model calls going on", "now", timeline.crowd(run.legs), _borders(run)),
            line_chart("Latency of model calls", "seconds", timeline.latencies(run.legs), _borders(run)),
        ]
        charts += [line_chart("Cost", "US dollars so far", [spending], _borders(run))] if any(y for _, y in spending.points) else []
    note = "Working time, pauses between sessions left out; dashed lines are barriers or new sessions."
    return _section("Speed", tag("div", *charts, class_="charts"), tag("p", note, class_="muted"))


def _calls(run: Material) -> Html:
    headings = (
        "role / stage / model",
        "calls",
        "replayed",
        "429/503",
        "failed",
        "prompt tokens",
        "completion tokens",
        "p50",
        "p90",
        "p99",
        "cost",
    )
    rows = []
    for (role, stage, model), total in sorted(timeline.call_totals(run.legs).items()):
        overloads = total["failures"][ModelCause.OVERLOADED]
        numbers = [total["calls"], total["replayed"], overloads, sum(total["failures"].values()) - overloads, total["prompt_tokens"]]
        took = percentiles(total["latency"])
        latency = [f"{took[name]:.2f} s" if name in took else "–" for name in ("p50", "p90", "p99")]
        told = [f"{number:,}" for number in (*numbers, total["completion_tokens"])]
        rows.append([f"{role} / {stage} / {model or 'default'}", *told, *latency, _usd(total["usd"])])
    return _section("Model calls", table(headings, rows), _failed_calls(run)) if rows else Html("")


def _failed_calls(run: Material) -> Html:
    failures = sum((total["failures"] for total in timeline.call_totals(run.legs).values()), Counter[str]())
    told = ", ".join(f"{cause} {count:,}" for cause, count in failures.most_common())
    return tag("p", f"Calls without a usable answer: {told}. Most were tried again at once.", class_="muted") if told else Html("")


def _questions(run: Material) -> Html:
    questions = run.questions
    charts = [
        columns("Hops", _counts([question.hops for question in questions])),
        columns("Difficulty", binned([round(question.difficulty) for question in questions])),
        bars("Paradigm", Counter(question.paradigm.value for question in questions)),
        bars("Sampling strategy", Counter(question.strategy for question in questions if question.strategy)),
        bars("Kind of answer", Counter(_answer_kind(question) for question in questions)),
        bars("Most frequent answers", Counter(question.answer for question in questions), most=8),
    ]
    return _section("Questions", tag("div", *charts, class_="charts")) if questions else Html("")


def _rollouts(run: Material) -> Html:
    told = run.rollouts
    if not told.count:
        return Html("")
    charts = [
        columns("Turns per trajectory", binned(told.turns)),
        columns("Tool calls per trajectory", binned(told.calls)),
        columns("Tokens per accepted row", binned(run.rows.tokens)),
        bars("Tool calls answered", told.tools),
        bars("Why trajectories stopped", told.stops),
        bars("Who judged the accepted rows", run.rows.judged),
    ]
    charts += [bars("Faults injected into tool calls", told.faults)] if told.faults else []
    charts += [bars("Guidance shown", told.guidance)] if set(told.guidance) != {"none"} else []
    calls = f"{told.tools.total() / told.count:.1f} tool calls each, {told.tool_errors:,} of them answered with an error"
    notes = [f"{told.count:,} trajectories, {calls}."]
    notes += (
        [f"{told.overcome:,} trajectories ({told.overcome / told.count:.0%}) were answered although a tool had failed."]
        if told.tool_errors
        else []
    )
    notes += (
        [f"{told.recovered:,} ({told.recovered / told.count:.0%}) hold an injected fault that was recovered from."] if told.faults else []
    )
    if run.rows.compression:
        share = sum(run.rows.compression) / len(run.rows.compression)
        notes.append(f"Thoughts of {len(run.rows.compression):,} rows were rewritten, to {share:.0%} of their tokens.")
    return _section("Trajectories", tag("div", *charts, class_="charts"), tag("p", " ".join(notes), class_="muted"))


def _extremes(run: Material) -> Html:
    ranked = sorted(run.questions, key=lambda question: (-question.difficulty, question.id))
    if not ranked:
        return Html("")
    hard, easy = ranked[:SHOWN], ranked[::-1][:SHOWN]
    lists = [tag("div", tag("h3", title), *map(_question, shown)) for title, shown in (("Most difficult", hard), ("Least difficult", easy))]
    return _section("Questions to look at", tag("div", *lists, class_="charts"))


def _question(question: Question) -> Html:
    facts = [question.paradigm.value, f"{question.hops} hops", f"difficulty {question.difficulty:.2f}", question.id[:8]]
    steps = [tag("li", step) for step in path_in_words(question)]
    answer = tag("p", "→ ", tag("b", question.answer), class_="answer")
    path = tag("ol", *steps) if steps else Html("")
    return tag("article", tag("p", question.text), path, answer, tag("p", " · ".join(facts), class_="muted"))


def _files(run: Material) -> Html:
    rows = [
        [tag("a", export.name, href=export.name), "–" if export.size is None else f"{export.size:,}", export.digest[:12]]
        for export in run.exports
    ]
    name = run.config["run"]["dir"]
    hints = [
        f"python -m scripts.show run.dir={name} n=3",
        f"python -m scripts.verify run.dir={name}",
    ]
    told = tag("p", "Look further: ", *(tag("code", hint) for hint in hints), class_="hints")
    return _section("Files", table(("export", "bytes", "hash"), rows) if rows else Html(""), told)


def _section(title: str, *inside: Html) -> Html:
    return tag("section", tag("h2", title), *inside)


def _borders(run: Material) -> Sequence[float]:
    return [leg.begun for leg in run.legs]


def _counts(values: Sequence[int]) -> list[tuple[str, int]]:
    return [(str(value), count) for value, count in sorted(Counter(values).items())]


def _answer_kind(question: Question) -> str:
    if question.certificate is None:
        return "imported"
    if not question.answer_entity:
        return "number"
    return next((variable.kind for variable in question.certificate.query.variables if variable.name == ANSWER), "entity")


def _usd(value: float | None) -> str:
    return "not known" if value is None else "$0" if value == 0 else f"${value:,.2f}" if value >= 1 else f"${value:.4f}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
