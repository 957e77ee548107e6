"""Kill the real job in every way there is, and count what that cost.

    python -m scripts.chaos kills=200 seed=0 dir=runs/chaos      # or: make chaos N=200
    python -m scripts.chaos trial=17 seed=0 dir=runs/chaos       # one trial again, with the same plan of faults

A trial runs `scripts.synthesize` with a simulated model several times while faults strike, then once in peace, and compares the
outcome with a run that was never disturbed: the same rows byte for byte, and no call paid twice but those in flight at a kill.
The tally is kept in DIR/tally.jsonl: the same command with more kills goes on. Exits 1 on any violation.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from scripts.arguments import parse_arguments
from scripts.chaos.faults import plan_trial
from scripts.chaos.tally import Tally, print_tally
from scripts.chaos.trial import Result, Trial, undisturbed


def main(arguments: Sequence[str]) -> int:
    """Entry point; the exit status."""
    options, console = parse_arguments(_parser(), arguments), Console(highlight=False)
    folder = Path(options.dir).absolute()
    tally = Tally(folder / "tally.jsonl")
    if options.trial is not None:
        _carry_out(options, options.trial, folder, tally, console)
    else:
        while tally.kills(options.seed) < options.kills:
            _carry_out(options, tally.next_trial(options.seed), folder, tally, console)
    print_tally(console, tally.lines)
    for seed, trial, problem in tally.violations:
        repeat = f"python -m scripts.chaos trial={trial} seed={seed} seeds={options.seeds} faults={options.faults} runs={options.runs}"
        console.print(f"trial {trial}: {problem}\n  → {repeat} dir={folder}", markup=False)
    return 1 if tally.violations else 0


def _carry_out(options: argparse.Namespace, trial: int, folder: Path, tally: Tally, console: Console) -> None:
    peace = undisturbed(folder / f"undisturbed-{options.seeds}", options.seeds)
    plan = plan_trial(options.seed, trial, options.faults, options.runs)
    place = folder / f"trial-{options.seed}-{trial}"
    result = Trial(place, plan, options.seeds, Result(options.seed, trial)).carry_out(peace)
    tally.add(result)
    faults = ", ".join(f"{name} {count}" for name, count in sorted(result.faults.items()))
    told = f"{result.runs} runs, {result.repaid} calls repaid of at most {result.allowed}; {faults}"
    console.print(f"trial {trial}: {'ok' if not result.violations else 'VIOLATED'}, {result.seconds:.0f} s, {told}", soft_wrap=True)
    if not result.violations:
        shutil.rmtree(place)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50, help="kills in all, those of earlier commands included; default 50")
    parser.add_argument("--seed", type=int, default=0, help="of the plans of faults; default 0")
    parser.add_argument("--dir", default="runs/chaos", help="where runs and tally are kept; default runs/chaos")
    parser.add_argument("--trial", type=int, help="carry out only this trial")
    parser.add_argument("--seeds", type=int, default=24, help="seed entities per run; default 24")
    parser.add_argument("--faults", type=int, default=8, help="faults per disturbed run; default 8")
    parser.add_argument("--runs", type=int, default=2, help="disturbed runs per trial; default 2")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
