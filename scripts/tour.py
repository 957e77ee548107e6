"""The whole loop with a model from scratch, on two CPU cores: synthesise → SFT → GRPO → score → serve, in about a quarter of an hour.

    python -m scripts.tour                             # or make tour
    python -m scripts.tour --config-name=tour_quick    # the mechanics alone

Every step is shown as the command that does it. Run the same command again and it goes on where it stopped; what is finished is not
done again. The run directory ends up with the models (base, sft/model, grpo/model), scores.json, the evaluation over HTTP (served),
curves.png and report.html.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig
from pydantic import Field
from rich.console import Console

from engine.config import NonNegative, Positive, RunConfig, Share, parse
from engine.errors import UserError
from engine.records import canonical_json, derive_id
from engine.storage import Storage
from rl.grpo.config import GrpoConfig
from scripts.funnel import make_console
from scripts.served import served
from scripts.settings import CONF, claim_settings, guard, plain_values, resolve_run_dir

DONE = "steps.json"
"""Finished steps: name → what was done, and in how many seconds."""
SETS = ("test", "entities")
SERVED = "served"
"""The evaluation over HTTP."""
NEEDED = ("torch", "transformers", "verl", "peft", "matplotlib")


@dataclass(frozen=True, kw_only=True)
class TinyConfig:
    """The model from scratch."""

    vocabulary: Positive = 4000
    hidden: Annotated[int, Field(ge=32, multiple_of=32)] = 128
    layers: Positive = 4


@dataclass(frozen=True, kw_only=True)
class TourSettings:
    """Everything `scripts.tour` can be told."""

    run: RunConfig
    synthesize: tuple[str, ...]
    """Overrides of scripts.synthesize."""
    test: Positive
    """Held-out questions."""
    valid: Positive
    """Questions to watch the training by."""
    held_out: Share
    """Share of the entities that no question of the other parts is about."""
    tiny: TinyConfig
    sft: tuple[str, ...]
    """Overrides of scripts.train train=tiny_cpu."""
    grpo: tuple[str, ...]
    """Overrides of scripts.train train=grpo_tiny_cpu."""
    evaluate: tuple[str, ...]
    """Overrides of scripts.evaluate: the tools and limits that the rollouts had."""
    threads: NonNegative = 0
    """Of scoring; 0: as many as there are cores."""


@dataclass(frozen=True)
class Step:
    """A part of the tour."""

    name: str
    what: str
    minutes: float
    """On two cores, about."""
    work: Sequence[str] | Callable[[], None]
    """A module with its arguments, run as a process of its own, or what is done in this one."""

    @property
    def told(self) -> str:
        """The command, or what is done."""
        return self.what if callable(self.work) else _command(self.work)


def main() -> None:
    """Entry point."""
    guard("tour")
    _hydra_main()


@hydra.main(config_path=str(CONF), config_name="tour", version_base=None)
def _hydra_main(config: DictConfig) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what a step has started is to be stopped then, too
    try:
        values = plain_values(config)
        settings = parse(values, TourSettings)
        GlobalHydra.instance().clear()  # the steps compose configurations of their own
        check_installed()
        run_dir = Path(resolve_run_dir(settings, values, in_job=False, in_sweep=False))
        claim_settings(Storage(str(run_dir)), values)
        Tour(settings, run_dir, make_console(), run_command).run()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from here")


def check_installed() -> None:
    """Raises: UserError: the extra `train` is missing, in whole or in part."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"a tour needs {', '.join(missing)}, not installed\n  → pip install -c constraints.txt -e '.[train]'")


def run_command(arguments: Sequence[str]) -> None:
    """`python -m ARGUMENTS`, its output among ours.

    Raises:
        UserError: it failed; it has said why.
    """
    ended = subprocess.run(  # noqa: S603 - our own modules
        [sys.executable, "-m", *arguments], check=False, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    if ended.returncode:
        raise UserError(
            f"{arguments[0]} ended with status {ended.returncode}\n  → once its cause is gone, the same command goes on from here"
        )


class Tour:
    """The steps of one tour, in order."""

    def __init__(
        self,
        settings: TourSettings,
        run_dir: Path,
        console: Console,
        execute: Callable[[Sequence[str]], None],
        serve: Callable[[Sequence[str]], AbstractContextManager[str]] = served,
    ) -> None:
        """Args:
        execute: runs a command, see `run_command`.
        serve: serves a model, see `scripts.served`.
        """
        self._settings, self._dir, self._console, self._execute, self._served = settings, run_dir, console, execute, serve
        self._storage = Storage(str(run_dir))

    def run(self) -> None:
        """Whatever is not done yet, then the result."""
        begun, steps = time.monotonic(), self.steps()
        for number, step in enumerate(steps, start=1):
            left = sum(later.minutes for later in steps[number - 1 :])
            head = f"step {number} of {len(steps)}: {step.name}"
            if self._done().get(step.name, {}).get("id") == self._id(step):
                self._console.print(f"[bold]{head}[/] is done", highlight=False)
                continue
            self._console.print(f"\n[bold]{head}[/], about {step.minutes:g} min; all that is left about {left:.0f} min", highlight=False)
            self._console.print(step.told, highlight=False, markup=False, soft_wrap=True)
            started = time.monotonic()
            step.work() if callable(step.work) else self._execute(step.work)
            seconds = time.monotonic() - started
            self._mark(step, seconds)
            self._console.print(f"{step.name}: {timedelta(seconds=round(seconds))}", highlight=False)
        self._console.print(f"\nall steps: {timedelta(seconds=round(time.monotonic() - begun))}", highlight=False)
        self._show()

    def steps(self) -> list[Step]:
        """The tour in order."""
        return [
            Step("synthesize", "proved questions and what an agent made of them", 2, self._synthesize()),
            Step("part", "part the questions; learn a tokenizer on the training part, and draw random weights", 0.3, self._part),
            Step("sft", "imitate the agent", 4, self._train("tiny_cpu", "base", self._settings.sft, "sft")),
            Step("grpo", "learn from rewards", 7, self._train("grpo_tiny_cpu", "sft/model", self._settings.grpo, "grpo")),
            Step("score", "play all held-out questions with the base model, after SFT and after GRPO", 1.5, self._score),
            Step("serve", f"{_command(self._serving())} &\n{_command(self._evaluating('URL'))}", 1, self._serve),
            Step("report", "draw curves.png and write report.html", 0.2, self._report),
        ]

    def _synthesize(self) -> list[str]:
        run = self._settings.run
        several = [] if run.max_seeds is None else [f"run.max_seeds={run.max_seeds}"]
        return ["scripts.synthesize", *self._settings.synthesize, *several, f"run.seed={run.seed}", f"run.dir={self._dir / 'rows'}"]

    def _train(self, plan: str, model: str, overrides: Sequence[str], name: str) -> list[str]:
        parts = self._dir / "parts"
        data = {"train.data": parts / "sft.parquet"}
        if name == "grpo":
            data = {"train.data": parts / "rl.parquet", "train.valid": parts / "valid.parquet", "train.environment": self._dir / "rows"}
        data["train.model"] = self._dir / model
        named = [f"{key}={value}" for key, value in data.items()]
        seed = self._settings.run.seed
        return ["scripts.train", f"train={plan}", *overrides, *named, f"train.seed={seed}", f"run.dir={self._dir / name}"]

    def _serving(self) -> list[str]:
        return ["scripts.serve", f"model={self._dir / 'grpo' / 'model'}", "name=tour"]

    def _evaluating(self, url: str) -> list[str]:
        asked = ["llm=local", f"llm.base_url={url}", "llm.model=tour", f"dataset={self._dir / 'parts' / 'test.parquet'}"]
        return ["scripts.evaluate", *self._settings.evaluate, *asked, f"run.dir={self._dir / SERVED}"]

    # --- in this process; torch is imported where it is needed, so that a command line that is wrong says so at once

    def _part(self) -> None:
        from rl import curriculum, tiny

        settings = self._settings
        questions = curriculum.read_questions(self._dir / "rows")
        parts = curriculum.part(questions, settings.test, settings.valid, settings.held_out, settings.run.seed)
        curriculum.check(parts, questions)
        counts = curriculum.write(self._dir / "rows", self._dir / "parts", parts)
        for name, hops in counts.items():
            told = ", ".join(f"{count} of {hop} hop{'s' if hop > 1 else ''}" for hop, count in sorted(hops.items()))
            self._console.print(f"{name}: {sum(hops.values())} questions ({told})", highlight=False)
        self._console.print("no question is in two parts; no held-out entity is in the training part", highlight=False)
        messages, tools = curriculum.conversations(self._dir / "parts" / "sft.parquet")
        texts, phrases = tiny.read_format(messages, tools)
        tiny.write_model(self._dir / "base", texts, **asdict(settings.tiny), seed=settings.run.seed, phrases=phrases)

    def _score(self) -> None:
        from rl.grpo import environment, questions
        from rl.score import score_model

        config = self._grpo_config()
        environment.write(config, self._dir)
        here, tools = environment.of(config), environment.open_tools(str(self._dir.resolve() / environment.FILE))
        sets = {part: questions.read(str(self._dir / "parts" / f"{part}.parquet")) for part in SETS}
        rows = [row for part in SETS for row in sets[part]]
        found: dict[str, dict[str, list[dict[str, object]]]] = {}
        for name, folder in models(self._dir).items():
            scored = iter(
                score_model(
                    folder,
                    rows,
                    tools,
                    here.policy,
                    turn_tokens=here.max_turn_tokens,
                    room=here.max_response_tokens,
                    threads=self._settings.threads or os.cpu_count() or 1,
                    seed=self._settings.run.seed,
                )
            )
            found[name] = {part: [asdict(next(scored)) for _ in sets[part]] for part in SETS}
        self._storage.write("scores.json", (json.dumps(found, indent=1) + "\n").encode())

    def _serve(self) -> None:
        with self._served(self._serving()[1:]) as url:
            self._execute(self._evaluating(url))

    def _grpo_config(self) -> GrpoConfig:
        """The configuration of the GRPO step, as its command composes it."""
        overrides = self._train("grpo_tiny_cpu", "sft/model", self._settings.grpo, "grpo")[1:]
        with initialize_config_dir(str(CONF), version_base=None):
            return parse(plain_values(compose("train", overrides))["train"], GrpoConfig, "train")

    def _report(self) -> None:
        from scripts import tour_report

        seconds = {name: entry["seconds"] for name, entry in self._done().items()}
        tour_report.write(self._dir, self._dir / SERVED, seconds, [step.told for step in self.steps()])

    def _show(self) -> None:
        from scripts import tour_report

        scores, over_http = tour_report.read_scores(self._dir), tour_report.read_served(self._dir / SERVED)
        self._console.print(tour_report.table(scores, over_http))
        self._console.print(tour_report.verdict(scores), highlight=False)
        self._console.print(tour_report.alike(scores, over_http), highlight=False)
        self._console.print(f"report: {self._dir / tour_report.PAGE}", highlight=False)

    # --- what is done

    def _id(self, step: Step) -> str:
        """What a step depends on; in-process steps, on all settings, which `claim_settings` keeps as they are."""
        return derive_id(step.told, "" if not callable(step.work) else canonical_json(asdict(self._settings)))

    def _done(self) -> dict[str, dict[str, object]]:
        done: dict[str, dict[str, object]] = json.loads(self._storage.read(DONE)) if self._storage.exists(DONE) else {}
        return done

    def _mark(self, step: Step, seconds: float) -> None:
        done = self._done() | {step.name: {"id": self._id(step), "seconds": round(seconds, 1)}}
        self._storage.write(DONE, (json.dumps(done, indent=1) + "\n").encode())


def _command(module: Sequence[str]) -> str:
    return shlex.join(["python", "-m", *module])


def models(run_dir: Path) -> dict[str, Path]:
    """The three models of a tour, in the order in which they come about."""
    return {"base": run_dir / "base", "SFT": run_dir / "sft" / "model", "GRPO": run_dir / "grpo" / "model"}


if __name__ == "__main__":
    main()
