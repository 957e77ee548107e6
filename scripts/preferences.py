"""What people marked in the studio, as preferences: weights for the reward's experts, and pairs for preference training.

    python -m scripts.preferences run.dir=runs/demo                          # weights, printed as settings of scripts.train
    python -m scripts.preferences run.dir=runs/demo out=runs/demo/pairs.jsonl # and pairs: prompt, chosen, rejected (TRL's form for DPO)

Marks are those of the page Read (`marks/` in the run directory). An accepted and a rejected rollout of one question make a pair, so let
a run draw several rollouts per question (policy.rollouts=4). Reviewers who differ on a rollout are counted; a draw decides nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from engine.errors import InputError, UserError
from engine.storage import Storage
from rl.config import RewardConfig
from rl.preference import fit, pairs
from scripts.arguments import parse_arguments
from serve.runs.marks import MarkBook
from serve.runs.preferences import conversation_pairs, dpo_row, expert_marks, tool_schemas
from serve.runs.reading import open_run
from serve.runs.rows import RowIndex


def main(arguments: Sequence[str]) -> int:
    """Entry point; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.preferences", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run-dir", required=True, help="the run directory, on a local disk, e.g. runs/demo")
    parser.add_argument("--out", help="file of pairs to write, one JSON object per line")
    options = parse_arguments(parser, arguments)
    try:
        for line in prefer(options.run_dir, options.out):
            print(line)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def prefer(run_dir: str, out: str | None) -> list[str]:
    """Fit the weights and write the pairs; what is to be said of them.

    Raises:
        UserError: no run, no marks that make a pair, or the file cannot be written.
    """
    storage, _ = open_run(run_dir)
    marked = MarkBook(storage).read()
    if not marked:
        raise InputError(run_dir, "holds no marks", "open the page Read of python -m scripts.studio, accept and reject")
    marks = expert_marks(RowIndex(Path(run_dir)), marked)
    compared = pairs(marks, RewardConfig())
    experts = fit(compared)
    accepted = sum(mark.accepted for mark in marks)
    told = [f"{len(marks)} rollouts marked ({accepted} accepted, {len(marks) - accepted} rejected), {len(compared)} pairs"]
    told += [f"train.reward.experts.{name}={weight:g}" for name, weight in asdict(experts).items()]
    if out:
        schemas = tool_schemas(storage)
        lines = [json.dumps(dpo_row(pair, schemas), ensure_ascii=False) + "\n" for pair in conversation_pairs(marks)]
        target = Path(out).absolute()
        Storage(str(target.parent)).write(target.name, "".join(lines).encode(errors="replace"))
        told.append(f"{len(lines)} pairs of conversations with one prompt in {out}")
    return told


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
