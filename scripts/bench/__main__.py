"""Measure the engine against limits found in the same run, on this machine with the server beside it.

    python -m scripts.bench                          # everything, some ten minutes
    python -m scripts.bench --only client,rollouts
    python -m scripts.bench --json bench.json

Absolute numbers say little on a shared machine: trust the ratios and the CPU seconds. The throughput cases talk to a
mock of their own (`scripts/bench/server.py`), because the simulator's 4,700 calls per CPU-second would be the limit.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from engine.config import PipelineConfig
from engine.errors import ConfigError, UserError, nearest
from engine.pipeline.session import ray_session
from scripts.arguments import parse_arguments
from scripts.bench import calls, curate, evaluate, graphs, limits, questions, sampling, serving, storage, studio, yield_
from scripts.bench.processes import memory_gb
from scripts.bench.table import Line, cells, new_table
from scripts.bench.work import Scale

CASES: dict[str, Callable[[Scale], Iterator[Line]]] = {
    "client": calls.client,
    "rows": calls.one_call_rows,
    "pipeline": calls.wide_pipeline,
    "rollouts": calls.rollouts,
    "trajectories": calls.trajectories,
    "curate": curate.curate,
    "evaluate": evaluate.concurrency,
    "rate": limits.rate,
    "hidden-limit": limits.hidden_limit,
    "tape": storage.tape,
    "resume": storage.resume,
    "sampling": sampling.sampling,
    "graphs": graphs.graphs,
    "proof": questions.proof,
    "yield": yield_.questions_per_seed,
    "search": questions.search,
    "studio": studio.studio,
    "serving": serving.serving,  # last: Ray Serve's own processes stay
}


def main(arguments: Sequence[str]) -> int:
    """Entry point; the exit status, 0 whatever was measured."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="CASE[,CASE]", help=f"some of: {', '.join(CASES)}")
    parser.add_argument("--json", metavar="FILE", help="write the table as JSON too")
    parser.add_argument("--quick", action="store_true", help="little work, to see that it runs; its numbers mean nothing")
    options = parse_arguments(parser, arguments)
    try:
        chosen = _choose(options.only)
        lines = run(chosen, options.quick, Console(width=None if sys.stdout.isatty() else 220))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        told = {"machine": _machine(), "quick": options.quick, "lines": [line.as_dict() for line in lines]}
        Path(options.json).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    return 0


def run(names: Sequence[str], quick: bool, console: Console) -> list[Line]:
    """Measure the named cases in one Ray session and print the table."""
    lines: list[Line] = []
    table = new_table(f"HopForge, {_machine()}{' (quick: the numbers mean nothing)' if quick else ''}")
    with tempfile.TemporaryDirectory(prefix="hopforge-bench-") as folder, ray_session(PipelineConfig()):
        gc.freeze()  # as every actor does, for the bare loop and for ours: Ray's imports are not collected again and again
        for name in names:
            with console.status(f"measuring {name}"):
                lines += CASES[name](Scale(quick, Path(folder)))
    for line in lines:
        table.add_row(*cells(line))
    console.print(table)
    return lines


def _choose(only: str | None) -> list[str]:
    names = list(CASES) if only is None else only.split(",")
    for name in names:
        if name not in CASES:
            raise ConfigError("only", f"unknown case '{name}'", f"did you mean {' or '.join(nearest(name, CASES) or CASES)}?")
    return names


def _machine() -> str:
    return f"{datetime.date.today()}, {os.cpu_count()} cores, {memory_gb():.0f} GB RAM, client and server on the same machine"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
