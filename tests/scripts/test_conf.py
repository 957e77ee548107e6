"""Every file of conf/ is read, typed and complete."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

from agents.tools.registry import BUILT_IN, tool_options, tool_type
from engine.config import parse
from engine.errors import ConfigError
from rl.plan import estimate, read_shape
from scripts.settings import CONF, Settings, check_overrides, plain_values, read_settings, row_fingerprint
from scripts.train import TrainSettings
from serve.studio.config import StudioConfig

GROUPS = {name for item in yaml.safe_load((CONF / "synthesize.yaml").read_text())["defaults"] if isinstance(item, dict) for name in item}
OPTIONS = sorted((folder.name, file.stem) for folder in CONF.iterdir() if folder.name in GROUPS for file in folder.glob("*.yaml"))
TRAINING = sorted(file.stem for file in (CONF / "train").glob("*.yaml") if not file.stem.startswith("grpo_"))


SHAPES = {
    "32b": {
        "num_hidden_layers": 64, "hidden_size": 5120, "num_attention_heads": 40, "num_key_value_heads": 8,
        "intermediate_size": 27648, "vocab_size": 152064,
    },
    "7b": {
        "num_hidden_layers": 28, "hidden_size": 3584, "num_attention_heads": 28, "num_key_value_heads": 4,
        "intermediate_size": 18944, "vocab_size": 152064,
    },
}  # fmt: skip
"""Sizes of the Qwen2.5 models of that name."""


def settings(*overrides: str) -> Settings:
    with initialize_config_dir(str(CONF), version_base=None):
        return read_settings(compose("synthesize", list(overrides)))[0]


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_into_typed_settings(group: str, option: str) -> None:
    needed = ["graph.path=somewhere"] if (group, option) == ("graph", "path") else []
    assert isinstance(settings(f"{group}={option}", *needed), Settings)
    check_overrides([f"{group}={option}", *needed], "synthesize")


def test_every_folder_of_conf_belongs_to_a_job() -> None:
    assert {folder.name for folder in CONF.iterdir() if folder.is_dir()} - GROUPS <= {"serve", "train"}


@pytest.mark.parametrize("plan", TRAINING)
def test_every_training_plan_composes_and_fits_its_hardware(plan: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SHAPES["7b" if "7b" in plan else "32b"]))
    needed = [f"train={plan}", f"train.model={tmp_path}", "train.data=somewhere"]
    check_overrides(needed, "train")
    with initialize_config_dir(str(CONF), version_base=None):
        composed = parse(plain_values(compose("train", needed)), TrainSettings)
    found = estimate(read_shape(str(tmp_path)), composed.train, composed.hardware, composed.plan_tokens, composed.plan_row_tokens)
    assert found.fits or plan == "tiny_cpu"


def test_the_files_say_what_the_code_says_without_them() -> None:
    """Defaults stand twice, beside the code and in conf/: they must agree."""
    composed = settings()
    for name in ("graph", "question", "gates", "policy", "tools", "faults", "guidance", "curate", "limits", "pipeline"):
        part = getattr(composed, name) if name != "tools" else dataclasses.replace(composed.tools, options={})
        assert part == type(part)(), name


def test_the_studio_s_file_says_what_its_code_says() -> None:
    with initialize_config_dir(str(CONF), version_base=None):
        assert parse(plain_values(compose("studio", ["port=8080"])), StudioConfig) == StudioConfig()


def test_the_options_of_every_tool_stand_in_conf_as_in_the_code() -> None:
    composed = settings().tools
    for name in BUILT_IN:
        kind = tool_type(name)
        assert tool_options(composed, name) == kind.Options(), name
        assert set(composed.options.get(name, {})) == {field.name for field in dataclasses.fields(kind.Options)}, name


def test_a_strategy_file_names_itself() -> None:
    for file in (CONF / "sampler").glob("*.yaml"):
        assert settings(f"sampler={file.stem}").sampler.strategy == file.stem


def test_fingerprints_ignore_where_and_how_fast_and_see_everything_else() -> None:
    def fingerprint(*overrides: str) -> str:
        with initialize_config_dir(str(CONF), version_base=None):
            return row_fingerprint(read_settings(compose("synthesize", list(overrides)))[1])

    neutral = (
        "run.dir=elsewhere",
        "pools.rollout.actors=3",
        "limits.qps=2",
        "tools.limits.pubmed.qps=9",
        "web.limits.search.qps=3",
        "llm.default.base_url=http://127.0.0.1:1/v1",
        "run.max_seeds=3",
    )
    assert {fingerprint(override) for override in neutral} == {fingerprint()}
    telling = ("run.seed=1", "sampler.size=9", "question.attempts=3", "policy.rollouts=2", "tools.results=3", "llm.default.model=x")
    assert len({fingerprint(override) for override in telling} | {fingerprint()}) == len(telling) + 1


def test_keys_cannot_be_added_or_removed() -> None:
    for override in ("+run.colour=red", "~limits", "hydra.verbose=true"):
        with pytest.raises(ConfigError, match="cannot be added or removed"):
            check_overrides([override], "synthesize")
