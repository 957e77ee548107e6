"""The tour's own mechanics: its commands compose, what is done is not done again, the parts are kept apart, and the report tells all.

The trainings themselves are tested where they live; here the model that each is given stands for the one it makes.
"""

from __future__ import annotations

import io
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="a tour needs the extra 'train'")
pytest.importorskip("matplotlib", reason="a tour needs the extra 'train'")

from hydra import compose, initialize_config_dir
from rich.console import Console

from engine.config import parse
from engine.errors import UserError
from rl.config import SftConfig
from rl.grpo.config import GrpoConfig
from rl.score import Outcome, Scored
from scripts import tour_report
from scripts.evaluate import spelled_out
from scripts.served import served
from scripts.settings import CONF, check_overrides, plain_values, read_settings
from scripts.tour import Tour, TourSettings, run_command
from scripts.tour_report import Served
from serve.evals.config import EvaluateSettings
from tests.scripts.runs import run
from tests.scripts.test_evaluate import run as evaluate


def settings(name: str, folder: Path) -> TourSettings:
    with initialize_config_dir(str(CONF), version_base=None):
        return parse(plain_values(compose(name, [f"run.dir={folder}"])), TourSettings)


class Stand:
    """Runs synthesis and evaluation in this process, and copies models instead of training them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ran: list[str] = []
        self.url = ""

    @contextmanager
    def served(self, overrides: Sequence[str]) -> Iterator[str]:
        """The real thing, and its address."""
        with served([*overrides, "object_store_mb=100"]) as self.url:
            yield self.url

    def __call__(self, arguments: Sequence[str]) -> None:
        self.ran.append(arguments[1])
        values = dict(argument.split("=", 1) for argument in arguments[1:])
        if arguments[0] == "scripts.synthesize":
            run(Path(values["run.dir"]), *(argument for argument in arguments[1:] if not argument.startswith("run.dir=")))
            return
        if arguments[0] == "scripts.evaluate":
            evaluate(Path(values["run.dir"]), *(argument for argument in arguments[1:] if not argument.startswith("run.dir=")))
            return
        assert Path(values["train.data"]).is_file()
        shutil.copytree(values["train.model"], Path(values["run.dir"]) / "model")
        (Path(values["run.dir"]) / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0, "accuracy": 0.5}\n')


@pytest.mark.parametrize("name", ["tour", "tour_quick"])
def test_every_command_of_a_tour_composes(name: str, tmp_path: Path) -> None:
    tour = Tour(settings(name, tmp_path), tmp_path, Console(file=io.StringIO()), Stand(tmp_path))
    commands = {step.name: step.work[1:] for step in tour.steps() if not callable(step.work)}
    assert list(commands) == ["synthesize", "sft", "grpo"]
    for command, job in (("synthesize", "synthesize"), ("sft", "train"), ("grpo", "train")):
        check_overrides(commands[command], job)
    with initialize_config_dir(str(CONF), version_base=None):
        read_settings(compose("synthesize", list(commands["synthesize"])))
        sft, grpo = (plain_values(compose("train", list(commands[name])))["train"] for name in ("sft", "grpo"))
    assert parse(sft, SftConfig).data == str(tmp_path / "parts" / "sft.parquet")
    assert parse(grpo, GrpoConfig).environment == str(tmp_path / "rows")


@pytest.mark.parametrize("name", ["tour", "tour_quick"])
def test_over_http_a_model_has_the_tools_and_limits_of_its_rollouts(name: str, tmp_path: Path) -> None:
    told = settings(name, tmp_path)
    check_overrides(spelled_out(told.evaluate), "evaluate")
    with initialize_config_dir(str(CONF), version_base=None):
        played = parse(plain_values(compose("evaluate", spelled_out(told.evaluate))), EvaluateSettings)
        made, _ = read_settings(compose("synthesize", [*told.synthesize]))
        grpo = compose("train", ["train=grpo_tiny_cpu", *told.grpo])["train"]
    assert (played.tools, played.graph) == (made.tools, made.graph)
    assert (played.policy.max_turns, played.policy.max_tool_calls) == (made.policy.max_turns, made.policy.max_tool_calls)
    assert (played.llm.default.max_tokens, played.llm.default.temperature) == (grpo["max_turn_tokens"], 0)


@pytest.mark.usefixtures("ray_local")
def test_a_tour_goes_to_its_end_and_is_not_done_twice(tmp_path: Path) -> None:
    said, stand = io.StringIO(), Stand(tmp_path)
    tour = Tour(settings("tour_quick", tmp_path), tmp_path, Console(file=said, width=250), stand, stand.served)
    tour.run()
    assert stand.ran[1:3] == ["train=tiny_cpu", "train=grpo_tiny_cpu"] and len(stand.ran) == 4
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert list(scores) == ["base", "SFT", "GRPO"] and all(set(sets) == {"test", "entities"} for sets in scores.values())
    tested = {row["question_id"] for row in scores["base"]["test"]}
    assert tested and all({row["question_id"] for row in sets["test"]} == tested for sets in scores.values())
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "report.html").read_text()
    assert "data:image/png;base64," in page and "scripts.synthesize" in page and "http" not in page.split("<style>")[0]
    assert "not clearly better" in said.getvalue() and "no question is in two parts" in said.getvalue()
    asked = len(tested)
    assert f"of {asked} questions {asked} end right or wrong as in this process, {asked} in the same words" in said.getvalue()
    assert "GRPO over HTTP" in page and "scripts.serve model=" in page and "llm.base_url=URL" in page
    with pytest.raises(urllib.error.URLError):  # the server went with its step
        urllib.request.urlopen(f"{stand.url}/models")

    said.truncate(0)
    (tmp_path / "report.html").unlink()
    tour.run()
    assert len(stand.ran) == 4 and "step 7 of 7: report is done" in said.getvalue()


def test_a_failed_command_is_told_and_stops_the_tour() -> None:
    with pytest.raises(UserError, match=r"scripts\.nothing ended with status 1"):
        run_command(["scripts.nothing"])


def test_the_verdict_is_about_intervals() -> None:
    def scored(right: int, count: int) -> list[Scored]:
        ends = [Outcome.RIGHT] * right + [Outcome.WRONG] * (count - right)
        return [Scored(question_id=str(n), hops=1 + n % 2, outcome=end, answer="", calls=0) for n, end in enumerate(ends)]

    scores = {name: {"test": scored(right, 400), "entities": []} for name, right in (("base", 0), ("SFT", 200), ("GRPO", 215))}
    assert tour_report.verdict(scores) == "GRPO is not clearly better than SFT; SFT > base, intervals apart"
    assert tour_report.table(scores, Served([], "")).row_count == 4
    assert tour_report.groups(scores["GRPO"])["2 hops"].count == 200


def test_what_ends_otherwise_over_http_is_counted() -> None:
    def scored(key: str, end: Outcome, answer: str) -> Scored:
        return Scored(question_id=key, hops=1, outcome=end, answer=answer, calls=1)

    here = [
        scored("a", Outcome.RIGHT, "x"),
        scored("b", Outcome.WRONG, "y"),
        scored("c", Outcome.NO_ANSWER, ""),
        scored("d", Outcome.WRONG, "z"),
    ]
    there = [scored("a", Outcome.RIGHT, "x"), scored("b", Outcome.RIGHT, "w"), scored("c", Outcome.WRONG, "v")]
    told = tour_report.alike({"GRPO": {"test": here, "entities": []}}, Served(there, "60 % right"))
    assert told == "GRPO over HTTP: 60 % right; of 4 questions 2 end right or wrong as in this process, 1 in the same words"
