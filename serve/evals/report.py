"""The score in Markdown: the numbers in sentences first, then tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Figures = Mapping[str, Any]

ERROR_WORDS = {
    "retrieval_miss": "never found what the answer needs",
    "reading_miss": "found it and did not notice",
    "reasoning_miss": "noticed it and concluded something else",
    "format": "answered in a form that cannot be read",
    "gave_up": "gave no answer",
    "unsorted": "wrong, and cannot be sorted",
    "refused": "refused by the model server",
}


def markdown(score: Figures, speed: Figures) -> str:
    """The whole report.

    Args:
        score: what `score.json` holds.
        speed: what `speed.json` holds; the one part that differs from run to run.
    """
    dataset, model = score["dataset"], score["model"]
    parts = [
        f"# {dataset['title']}: {model['fingerprint'] or model['policy']}",
        *([] if score["complete"] else [f"> **Incomplete:** {score['failed']:,} rollouts failed and are tried again by the same command."]),
        *(f"> {note}" for note in dataset["notes"]),
        in_words(score),
        "## Scores",
        _table(("measure", "value", "95 % interval", "standard error", "questions", "clusters"), headline_rows(score)),
        "## Beside it",
        _table(("measure", "value"), side_rows(score)),
        "## Where answers went wrong",
        _table(("kind", "attempts", "what it means"), [[kind, f"{n:,}", ERROR_WORDS[kind]] for kind, n in score["errors"].items() if n]),
        "## What an attempt takes",
        _table(("measure", "mean", "p50", "p95"), effort_rows(score, speed)),
        *(_breakdown(name, groups) for name, groups in score["breakdown"].items()),
        *(["## Two judges on the same answers", _table(("measure", "value"), rows)] if (rows := agreement_rows(score)) else []),
        "## How to get this score again",
        _table(("what", "value"), provenance_rows(score)),
    ]
    return "\n\n".join(parts) + "\n"


def in_words(score: Figures) -> str:
    """The result as a clinician would want it told."""
    found = score["accuracy"]
    if not found:
        return "No rollout has ended, so there is no score."
    span = f" (95 % interval {percent(found['low'])} to {percent(found['high'])})" if found["low"] is not None else ""
    asked = f"{score['questions']:,} questions, each {score['rollouts']:,} times"
    told = f"Asked {asked}, the model was right in {percent(found['value'])} of its attempts{span}."
    if score["clusters"] < score["questions"]:
        told += f" The questions hang together in {score['clusters']:,} clusters; the interval takes that into account."
    if unknown := score["rates"]["unknown"]:
        most = percent(score["rates"]["right_if_unknown_were"])
        told += (
            f" For {percent(unknown)} of the attempts nobody could tell. They count as not right; if all of them were, the score would be"
        )
        told += f" about {most}. judge=model asks a model."
    baseline = score["baselines"]["constant"]
    return f"{told} Always answering “{baseline['answer']}” would be right for {percent(baseline['value'])} of the questions."


def headline_rows(score: Figures) -> list[list[str]]:
    """A line per score with an interval."""
    lines = [("pass@1 (mean over attempts)", score["accuracy"])]
    lines += [(f"pass@{k}", each) for k, each in score["pass_at_k"].items() if k != "1"]
    lines += [(f"all {k} right", each) for k, each in score["all_right_at_k"].items() if k != "1"]
    lines += [(f"majority of {k}", each) for k, each in score["majority_at_k"].items()]
    lines += [("F1", score["f1"])] if "f1" in score else []
    return [[name, *estimate_cells(each)] for name, each in lines if each]


def side_rows(score: Figures) -> list[list[str]]:
    """Baselines and rates."""
    rates, effort = score["rates"], score["effort"]
    rows = [[f"always “{each['answer']}” ({name} answer)", percent(each["value"])] for name, each in score["baselines"].items()]
    rows += [[name.replace("_", " "), percent(share)] for name, share in rates.items()]
    for name in ("cost_usd", "cost_usd_per_question", "cost_usd_per_right_answer"):
        if name in effort:
            rows.append([name.replace("_usd", " in US$").replace("_", " "), "not known" if effort[name] is None else f"{effort[name]:.4f}"])
    return rows


def effort_rows(score: Figures, speed: Figures) -> list[list[str]]:
    """What an attempt takes, and how long its model calls took when they were made."""
    rows = [
        [name.replace("_", " "), *(f"{each[part]:,.1f}" for part in ("mean", "p50", "p95"))]
        for name, each in score["effort"].items()
        if isinstance(each, Mapping) and each
    ]
    return rows + [
        [f"seconds per model call ({role})", "–", f"{each['p50']:.2f}", f"{each['p95']:.2f}"] for role, each in speed["calls"].items()
    ]


def agreement_rows(score: Figures) -> list[list[str]]:
    """How far this judge and the one before agree; nothing where only one has judged."""
    found = score.get("agreement")
    if not found:
        return []
    kappa = "not defined: one verdict only" if found["kappa"] is None else f"{found['kappa']:.3f}"
    rows = [["attempts judged by both", f"{found['rollouts']:,}"], ["same verdict", percent(found["agreed"])], ["Cohen's κ", kappa]]
    return rows + [[change, f"{count:,}"] for change, count in sorted(found["changed"].items())]


def provenance_rows(score: Figures) -> list[list[str]]:
    """All that has to be the same."""
    dataset, model = score["dataset"], score["model"]
    return [
        ["data set", ", ".join(part for part in (dataset["title"], dataset["version"], dataset["file"]) if part)],
        ["its hash", f"SHA-256 {dataset['sha256']}" if dataset["sha256"] else f"questions {dataset['questions_hash']}"],
        ["its source and licence", f"{dataset['source']}; {dataset['licence']}"],
        [
            "model",
            f"{model['fingerprint'] or 'none'}, policy {model['policy']}, temperature {model['temperature']:g}, "
            f"{model['max_tokens']:,} tokens a reply at most",
        ],
        ["judge", score["judge"]["fingerprint"] or f"text is compared, {score['judge']['style']} rule"],
        ["prompt", score["prompt"]["hash"]],
        ["tools", ", ".join(score["tools"]["names"]) + f"; search: {score['tools']['search']}"],
        ["knowledge snapshot", f"{score['tools']['snapshot'] or 'date not stated'}, graph {score['tools']['graph']}"],
        ["settings", f"{score['settings']}, seed {score['seed']}"],
    ]


def estimate_cells(found: Figures) -> list[str]:
    """Value, interval, standard error, questions, clusters."""
    span = f"{percent(found['low'])} – {percent(found['high'])}" if found["low"] is not None else "one cluster: not known"
    error = "–" if found["standard_error"] is None else f"{100 * found['standard_error']:.1f}"
    return [percent(found["value"]), span, error, f"{found['observations']:,}", f"{found['clusters']:,}"]


def percent(share: float) -> str:
    """`27.5 %`."""
    return f"{100 * share:.1f} %"


def _breakdown(name: str, groups: Mapping[str, Figures]) -> str:
    rows = [[group, *estimate_cells(each)] for group, each in groups.items()]
    note = "\n\nOf the rollouts that called it; who needs a tool is not chosen at random." if name == "tool" else ""
    return f"## By {name}\n\n" + _table((name, "right", "95 % interval", "standard error", "questions", "clusters"), rows) + note


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines)
