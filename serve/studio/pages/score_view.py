"""One evaluation: its numbers with what they mean, where answers went wrong, by what they differ, and every question."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from nicegui import ui

from serve.evals.evaluated import Evaluated, read_evaluated
from serve.evals.records import Graded
from serve.evals.report import agreement_rows, estimate_cells, percent, provenance_rows
from serve.studio.scoring import Figures, Interval, count_chart, interval_chart, read_speed
from serve.studio.words import Words
from serve.studio.workspace import RunFolder

SHOWN = 200
"""Questions in the list, those that went worst first."""
LONGEST = 240
RATES = ("abstained", "invalid", "refused", "unknown", "right_if_unknown_were", "invalid_calls", "failed")
QUESTION_COLUMNS = {"right": "right", "question": "left", "gold": "left", "given": "left", "kinds": "left", "hops": "right"}
COLUMNS = ("right", "interval", "error", "questions", "clusters")


async def show_evaluation(words: Words, run: RunFolder, others: Sequence[str]) -> None:
    """Build it.

    Args:
        others: evaluations it can be compared with.

    Raises:
        InputError: it has not ended.
    """
    found: Evaluated = await asyncio.to_thread(read_evaluated, str(run.path))
    score, speed = found.score, await asyncio.to_thread(read_speed, run.path)
    _head(words, run, score, others)
    with ui.element("div").classes("run-halves"):
        with ui.column().classes("run-half"):
            _headline(words, score)
            _breakdown(words, score)
        with ui.column().classes("run-half"):
            _errors(words, score)
            _beside(words, score, speed)
    _questions(words, run.name, found.graded)
    with ui.expansion(words("scores.again")).classes("studio-panel scores-more"):
        _plain_table(words, ("what", "is"), provenance_rows(score))
        for part in (score["prompt"]["system"], score["prompt"]["hint"]):
            if part:
                ui.label(part).classes("studio-code scores-prompt")


def _head(words: Words, run: RunFolder, score: Figures, others: Sequence[str]) -> None:
    model = score["model"]["fingerprint"] or score["model"]["policy"]
    with ui.column().classes("studio-panel"):
        with ui.row().classes("items-center"):
            ui.link(words("scores.evaluations"), "/scores")
            ui.label(run.name).classes("studio-title")
            ui.label(f"{score['dataset']['title']} · {model}").classes("studio-soft")
            ui.space()
            ui.link(words("scores.its_run"), f"/run?{urlencode({'name': run.name})}")
            if others:
                with ui.select(list(others), label=words("scores.compare_with")) as choice:
                    choice.props("dense outlined options-dense").classes("scores-choice")
                choice.on_value_change(lambda event: ui.navigate.to(f"/scores?{urlencode({'name': event.value, 'with': run.name})}"))
        if not score["complete"]:
            ui.label(words("scores.incomplete", failed=f"{score['failed']:,}")).classes("studio-error")
        for note in score["dataset"]["notes"]:
            ui.label(note).classes("scores-note")
        ui.label(_sentence(words, score)).props("data-test=sentence")


def _sentence(words: Words, score: Figures) -> str:
    found = score["accuracy"]
    if not found:
        return words("scores.no_attempt")
    span = words("scores.span", low=percent(found["low"]), high=percent(found["high"])) if found["low"] is not None else ""
    constant = score["baselines"]["constant"]
    told = words(
        "scores.sentence", questions=f"{score['questions']:,}", rollouts=score["rollouts"], share=percent(found["value"]), span=span
    )
    return f"{told} {words('scores.constant', answer=constant['answer'], share=percent(constant['value']))}"


def _headline(words: Words, score: Figures) -> None:
    lines = [(words("scores.pass1"), words("scores.means_pass1"), score["accuracy"])]
    lines += [(f"pass@{k}", words("scores.means_pass_at", k=k), each) for k, each in score["pass_at_k"].items() if k != "1"]
    lines += [
        (words("scores.all_right", k=k), words("scores.means_all_right", k=k), each)
        for k, each in score["all_right_at_k"].items()
        if k != "1"
    ]
    lines += [(words("scores.majority", k=k), words("scores.means_majority", k=k), each) for k, each in score["majority_at_k"].items()]
    lines += [("F1", words("scores.means_f1"), score["f1"])] if "f1" in score else []
    with ui.column().classes("studio-panel"):
        ui.label(words("scores.numbers")).classes("studio-title")
        with ui.element("table").classes("scores-grid"):
            _heads([words("scores.measure"), *(words(f"scores.{name}") for name in COLUMNS)])
            for name, meaning, found in lines:
                if found:
                    _row([name, *estimate_cells(found)], meaning)


def _breakdown(words: Words, score: Figures) -> None:
    groups: dict[str, Figures] = dict(score["breakdown"])
    if not groups:
        return
    with ui.column().classes("studio-panel"):
        with ui.row().classes("items-center"):
            ui.label(words("scores.breakdown")).classes("studio-title")
            ui.space()
            first = next((name for name in ("hops", "paradigm") if name in groups), next(iter(groups)))
            by = (
                ui.select(list(groups), value=first, label=words("scores.by"))
                .props("dense outlined options-dense")
                .classes("scores-choice")
            )

        @ui.refreshable
        def shown(name: str) -> None:
            rows = [Interval.of(group, each) for group, each in groups[name].items()]
            ui.echart(interval_chart(rows, words("scores.right"))).style(f"height:{40 + 26 * len(rows)}px").classes("scores-chart")
            with ui.element("table").classes("scores-grid"):
                _heads([name, *(words(f"scores.{column}") for column in COLUMNS)])
                for group, each in groups[name].items():
                    _row([group, *estimate_cells(each)], "")
            if name == "tool":
                ui.label(words("scores.by_tool")).classes("studio-soft")

        shown(first)
        by.on_value_change(lambda event: shown.refresh(event.value))


def _errors(words: Words, score: Figures) -> None:
    counts = {kind: count for kind, count in score["errors"].items() if count}
    with ui.column().classes("studio-panel"):
        ui.label(words("scores.errors")).classes("studio-title")
        if not counts:
            ui.label(words("scores.no_errors")).classes("studio-soft")
            return
        ui.echart(count_chart({words(f"scores.{kind}"): count for kind, count in counts.items()})).style(
            f"height:{12 + 28 * len(counts)}px"
        ).classes("scores-chart")
        for kind in counts:
            ui.label(f"{words(f'scores.{kind}')}: {words(f'scores.means_{kind}')}").classes("studio-soft")


def _beside(words: Words, score: Figures, speed: Figures) -> None:
    rates, effort = score["rates"], score["effort"]
    rows = [[words(f"scores.{name}_answer", answer=each["answer"]), percent(each["value"])] for name, each in score["baselines"].items()]
    rows += [[words(f"scores.rate_{name}"), percent(rates[name])] for name in RATES]
    for name in ("cost_usd", "cost_usd_per_question", "cost_usd_per_right_answer"):
        if name in effort:
            rows.append([words(f"scores.{name}"), words("scores.not_known") if effort[name] is None else f"{effort[name]:.4f}"])
    with ui.column().classes("studio-panel"):
        ui.label(words("scores.beside")).classes("studio-title")
        _plain_table(words, ("measure", "share"), rows)
        ui.label(words("scores.effort")).classes("studio-title")
        _plain_table(words, ("measure", "mean", "p50", "p95"), _effort(words, score, speed))
        if agreed := agreement_rows(score):
            ui.label(words("scores.judges")).classes("studio-title")
            _plain_table(words, ("measure", "share"), agreed)


def _effort(words: Words, score: Figures, speed: Figures) -> list[list[str]]:
    told = {name: each for name, each in score["effort"].items() if isinstance(each, Mapping) and each}
    rows = [[words(f"scores.effort_{name}"), *(f"{each[part]:,.1f}" for part in ("mean", "p50", "p95"))] for name, each in told.items()]
    return rows + [
        [words("scores.effort_seconds", role=role), "–", f"{each['p50']:.2f}", f"{each['p95']:.2f}"]
        for role, each in speed["calls"].items()
    ]


def _questions(words: Words, run: str, graded: Sequence[Graded]) -> None:
    by_question: dict[str, list[Graded]] = {}
    for row in graded:
        by_question.setdefault(row.question_id, []).append(row)
    shares = {key: sum(row.is_right for row in rows) / len(rows) for key, rows in by_question.items()}
    ranked = sorted(shares, key=lambda key: (shares[key], key))[:SHOWN]
    lines = [_question(words, run, by_question[key], shares[key]) for key in ranked]
    columns = [
        {"name": name, "label": words(f"scores.{name}"), "field": name, "align": side, "sortable": True, "classes": f"scores-{name}"}
        for name, side in (
            ("right", "right"),
            ("question", "left"),
            ("gold", "left"),
            ("given", "left"),
            ("kinds", "left"),
            ("hops", "right"),
        )
    ]
    with ui.column().classes("studio-panel"):
        ui.label(words("scores.questions_worst")).classes("studio-title")
        table = ui.table(columns=columns, rows=lines, row_key="id", pagination=10).props("flat dense wrap-cells").classes("run-table")
        table.add_slot("body-cell-question", '<q-td :props="props"><a class="plain" :href="props.row.link">{{ props.value }}</a></q-td>')
        if len(shares) > SHOWN:
            ui.label(words("scores.more_questions", count=f"{len(shares) - SHOWN:,}")).classes("studio-soft")


def _question(words: Words, run: str, rows: Sequence[Graded], share: float) -> dict[str, object]:
    first = rows[0]
    given = Counter(row.given or words("scores.nothing") for row in rows)
    kinds = Counter(words(f"scores.{row.error.value}") for row in rows if row.error is not None)
    return {
        "id": first.question_id,
        "right": percent(share),
        "question": first.question if len(first.question) <= LONGEST else f"{first.question[:LONGEST]} …",
        "link": to_read(run, first.question_id),
        "gold": first.answer[:LONGEST],
        "given": "; ".join(f"{answer[:80]}{f' ×{count}' if count > 1 else ''}" for answer, count in given.most_common()),
        "kinds": ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())),
        "hops": first.hops or "–",
    }


def to_read(run: str, question_id: str) -> str:
    """Where its trajectories are read."""
    return f"/read?{urlencode({'run': run, 'text': question_id})}"


def _plain_table(words: Words, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with ui.element("table").classes("scores-grid"):
        _heads([words(f"scores.{head}") for head in heads])
        for row in rows:
            _row(row, "")


def _heads(heads: Sequence[str]) -> None:
    with ui.element("tr"):
        for head in heads:
            with ui.element("th").props("scope=col"):
                ui.label(head)


def _row(cells: Sequence[str], meaning: str) -> None:
    """The first cell names the others, and may be explained."""
    with ui.element("tr"):
        for place, cell in enumerate(cells):
            with ui.element("td"):
                ui.label(cell)
                if meaning and not place:
                    ui.label(meaning).classes("studio-soft")
