"""What a score rests on (data, model, prompt, tools, settings), and how fast its model calls were."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from agents.prompts import system_prompt
from agents.tools.registry import tool_type
from agents.tools.tool import Tool
from engine.records import Rejection
from engine.storage import Storage
from engine.telemetry.latency import percentile
from samplers.records import Question
from scripts.settings import row_fingerprint
from serve.evals.benchmarks.benchmark import Benchmark, digest
from serve.evals.config import EvaluateSettings
from serve.runs.timeline import call_totals, read_legs


def facts_of(
    settings: EvaluateSettings,
    benchmark: Benchmark,
    questions: Sequence[Question],
    left_out: Sequence[Rejection],
    known: Mapping[str, Any],
    snapshot: str,
) -> dict[str, Any]:
    """All that a score depends on; no date and no place, so that the same rows give the same text."""
    manifest, path = benchmark.manifest, Path(settings.dataset or "")
    fingerprints, policy = known["fingerprints"], settings.policy
    tools = [cast(Tool, tool_type(name)) for name in settings.tools.names]
    system = system_prompt(tools, policy.max_turns, policy.max_tool_calls)
    return {
        "dataset": {
            "benchmark": benchmark.name,
            "title": manifest.title,
            "source": manifest.source,
            "version": manifest.version,
            "licence": manifest.licence,
            "paper": manifest.paper,
            "file": path.name,
            "sha256": digest(path) if path.is_file() else "",
            "questions_hash": known["dataset_hash"],
            "notes": notes(benchmark, questions, left_out),
        },
        "model": {
            "fingerprint": fingerprints.get("agent", ""),
            "policy": f"{policy.kind}, {policy.format}" if policy.kind == "llm" else policy.kind,
            "temperature": settings.llm.role("agent").temperature,
            "max_tokens": settings.llm.role("agent").max_tokens,
        },
        "judge": {"fingerprint": fingerprints.get("judge", ""), "style": settings.curate.judge_style, "votes": settings.curate.judge_votes},
        "prompt": {"hash": hashlib.sha256(f"{system}\n{benchmark.hint}".encode()).hexdigest(), "system": system, "hint": benchmark.hint},
        "tools": {"names": list(settings.tools.names), "search": settings.web.search, "snapshot": snapshot, "graph": known["graph_hash"]},
        "settings": row_fingerprint(known),
        "seed": settings.run.seed,
    }


def notes(benchmark: Benchmark, questions: Sequence[Question], left_out: Sequence[Rejection]) -> list[str]:
    """What a reader of the score must know about the data."""
    found, sizes = [], benchmark.manifest.sizes
    rows = len(questions) + len(left_out)
    if sizes and rows not in sizes.values():
        published = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
        found.append(f"This is not the whole benchmark: {rows:,} questions here, published are {published}.")
    if left_out:
        causes = ", ".join(f"{cause} {count:,}" for cause, count in sorted(Counter(row.cause for row in left_out).items()))
        found.append(f"{len(left_out):,} of {rows:,} rows are not asked: {causes}.")
    return found


def speed_of(storage: Storage) -> dict[str, Any]:
    """Seconds per model call by role, over all runs in the directory, and when the last one ended. Not part of the score: a replay
    asks nobody, and a busy server is slower."""
    legs = read_legs(storage.read("metrics.jsonl")) if storage.exists("metrics.jsonl") else []
    calls = {}
    for (role, _, model), total in sorted(call_totals(legs).items()):
        p50, p95 = (percentile(total["latency"], share) for share in (0.5, 0.95))
        if p50 is not None and p95 is not None:
            name = f"{role}, {model}" if model else role
            calls[name] = {"calls": total["calls"], "p50": round(p50, 4), "p95": round(p95, 4), "failures": dict(total["failures"])}
    return {
        "calls": calls,
        "working_s": round(sum(leg.seconds for leg in legs), 1),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }
