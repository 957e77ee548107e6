"""The score as one HTML page that needs nothing but a browser."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

import scripts.report
from scripts.report.charts import bars, figure
from scripts.report.markup import Html, join, table, tag
from serve.evals.records import Graded
from serve.evals.report import (
    ERROR_WORDS,
    Figures,
    agreement_rows,
    effort_rows,
    estimate_cells,
    headline_rows,
    in_words,
    percent,
    provenance_rows,
    side_rows,
)

SHOWN = 200
"""Questions in the list at the end, those first that went worst."""

LONGEST = 300
"""Characters of a question that is shown."""

ROW, LEFT, WIDE = 24, 170, 520
"""Of the chart of intervals: height of a line, room for names, width of the picture."""

COLUMNS = ("right", "95 % interval", "standard error", "questions", "clusters")


def write_page(score: Figures, speed: Figures, graded: Sequence[Graded]) -> str:
    """The whole page."""
    frame = Path(scripts.report.__file__).parent
    dataset, model = score["dataset"], score["model"]
    title = f"{dataset['title']}: {model['fingerprint'] or model['policy']}"
    return Template((frame / "page.html").read_text(encoding="utf-8")).substitute(
        title=join([f"{title} · HopForge"]),
        style=(frame / "style.css").read_text(encoding="utf-8"),
        header=_header(score, title),
        body=join(
            [
                _section("Scores", table(("measure", *COLUMNS), headline_rows(score))),
                _section("Beside it", table(("measure", "value"), side_rows(score))),
                _errors(score),
                *(_breakdown(name, groups) for name, groups in score["breakdown"].items()),
                _section("What an attempt takes", table(("measure", "mean", "p50", "p95"), effort_rows(score, speed))),
                *_agreement(score),
                _questions(graded),
                _section("How to get this score again", table(("what", "value"), provenance_rows(score), texts=2), _prompt(score)),
            ]
        ),
    )


def _header(score: Figures, title: str) -> Html:
    warnings = [] if score["complete"] else [f"Incomplete: {score['failed']:,} rollouts failed and are tried again by the same command."]
    told = [tag("p", warning, class_="warning") for warning in (*warnings, *score["dataset"]["notes"])]
    most = str(score["rollouts"])
    tiles = [
        ("pass@1", score["accuracy"]),
        (f"pass@{most}", score["pass_at_k"][most]),
        (f"all {most} right", score["all_right_at_k"][most]),
    ]
    shown = [tag("div", tag("strong", percent(each["value"])), tag("span", name), class_="tile") for name, each in tiles if each]
    return join([tag("h1", title), *told, tag("p", in_words(score)), tag("div", *shown, class_="tiles")])


def _errors(score: Figures) -> Html:
    counts = {kind: count for kind, count in score["errors"].items() if count}
    told = table(("kind", "what it means"), [[kind, ERROR_WORDS[kind]] for kind in counts], texts=2)
    return _section("Where answers went wrong", tag("div", bars("Attempts that are not right", counts), told, class_="charts"))


def _agreement(score: Figures) -> list[Html]:
    rows = agreement_rows(score)
    return [_section("Two judges on the same answers", table(("measure", "value"), rows))] if rows else []


def _breakdown(name: str, groups: Mapping[str, Figures]) -> Html:
    rows = [[group, *estimate_cells(each)] for group, each in groups.items()]
    note = (
        tag("p", "Of the rollouts that called it; who needs a tool is not chosen at random.", class_="muted")
        if name == "tool"
        else Html("")
    )
    drawn = _intervals(f"Share of right attempts by {name}", groups)
    return _section(f"By {name}", tag("div", drawn, table((name, *COLUMNS), rows), class_="charts"), note)


def _intervals(title: str, groups: Mapping[str, Figures]) -> Html:
    """A point and its interval per group, from 0 to 100 %."""
    height, scale = ROW * (len(groups) + 1), WIDE - LEFT - 20
    drawn = [tag("path", d=f"M{LEFT + scale * share:.1f} 4V{height - ROW}", class_="grid") for share in (0, 0.25, 0.5, 0.75, 1)]
    drawn += [tag("text", f"{100 * share:.0f} %", x=LEFT + scale * share, y=height - 6, text_anchor="middle") for share in (0, 0.5, 1)]
    for number, (group, found) in enumerate(groups.items()):
        y, low, high = ROW * (number + 0.6), found["low"], found["high"]
        drawn.append(tag("text", group[:26], x=LEFT - 8, y=y + 4, text_anchor="end"))
        if low is not None:
            drawn.append(tag("path", d=f"M{LEFT + scale * low:.1f} {y}H{LEFT + scale * high:.1f}", class_="line c0"))
        drawn.append(tag("circle", tag("title", percent(found["value"])), cx=LEFT + scale * found["value"], cy=y, r=4, class_="column"))
    return figure(title, tag("svg", *drawn, viewBox=f"0 0 {WIDE} {height}", role="img", aria_label=title))


def _questions(graded: Sequence[Graded]) -> Html:
    by_question: defaultdict[str, list[Graded]] = defaultdict(list)
    for row in graded:
        by_question[row.question_id].append(row)
    shares = {key: sum(row.is_right for row in rows) / len(rows) for key, rows in by_question.items()}
    ranked = sorted(shares, key=lambda key: (shares[key], key))
    listed = [_question(by_question[key], shares[key]) for key in ranked[:SHOWN]]
    rest = tag("p", f"and {len(ranked) - SHOWN:,} more in rollouts.parquet", class_="muted") if len(ranked) > SHOWN else Html("")
    return _section("Questions, those that went worst first", *listed, rest) if listed else Html("")


def _question(rows: Sequence[Graded], share: float) -> Html:
    first = rows[0]
    text = first.question if len(first.question) <= LONGEST else f"{first.question[:LONGEST]} …"
    given = Counter(row.given or "no answer" for row in rows)
    kinds = Counter(row.error.value for row in rows if row.error is not None)
    answers = "; ".join(f"{answer[:80]}{f' ×{count}' if count > 1 else ''}" for answer, count in given.most_common())
    facts = [f"{percent(share)} right", *(f"{kind} {count}" for kind, count in sorted(kinds.items())), first.question_id[:8]]
    return tag(
        "article", tag("p", text), tag("p", "gold: ", tag("b", first.answer)), tag("p", f"given: {answers}"),
        tag("p", " · ".join(facts), class_="muted"),
    )  # fmt: skip


def _prompt(score: Figures) -> Html:
    parts = [part for part in (score["prompt"]["system"], score["prompt"]["hint"]) if part]
    return tag("details", tag("summary", "The prompt"), *(tag("pre", part, style="white-space:pre-wrap") for part in parts))


def _section(title: str, *inside: Html) -> Html:
    return tag("section", tag("h2", title), *inside)
