"""Folders that hold no whole model: each is found out, by name and with what to do, and whole ones are let pass."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the app needs the extra 'train'")

from engine.errors import ConfigError
from rl.tiny import write_model
from serve.app import ChatApp
from serve.config import ServeConfig
from serve.deploy import build, reason
from serve.folder import INDEX, check_folder

WEIGHTS = "model.safetensors"
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "model"
    write_model(folder, ["one two three"], 300, hidden=32, layers=1)
    return folder


def without(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def text(name: str, words: str) -> Change:
    return lambda folder: (folder / name).write_text(words)


def first(size: int) -> Change:
    return lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:size])


def sharded(*missing: str) -> Change:
    """Weights in a file of another name, and an index that names it and others."""

    def change(folder: Path) -> None:
        (folder / WEIGHTS).rename(folder / "part.safetensors")
        names = {str(number): name for number, name in enumerate(("part.safetensors", *missing))}
        (folder / INDEX).write_text(json.dumps({"weight_map": names}))

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("config.json"), "holds no config.json"),
        (text("config.json", "{"), "config.json is no JSON object"),
        (without("tokenizer.json"), "holds no tokenizer"),
        (without(WEIGHTS), "holds no weights"),
        (first(2000), "is cut off or damaged"),
        (first(5), "is cut off or damaged"),
        (first(0), "is cut off or damaged"),
        (sharded("other.safetensors"), f"holds no other.safetensors, which its {INDEX} names"),
        (text(INDEX, "[]"), f"{INDEX} is no JSON object"),
    ],
)
def test_a_part_that_is_missing_or_cut_off_is_named(change: Change, said: str, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    change(folder)
    with pytest.raises(ConfigError, match=re.escape(said)) as error:
        build({"model": str(folder)})
    assert str(folder) in error.value.problem and error.value.key == "model" and error.value.remedy


def test_a_whole_folder_passes_in_one_file_or_many(whole: Path, tmp_path: Path) -> None:
    check_folder(whole)
    shutil.copytree(whole, tmp_path / "model")
    sharded()(tmp_path / "model")
    check_folder(tmp_path / "model")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"num_hidden_layers": 2}, "are not those of its config.json: model.layers.1."),
        ({"intermediate_size": 64}, "are not those of its config.json: model.layers.0.mlp."),
        ({"model_type": "bert"}, "are not those of its config.json: bert."),
        ({"model_type": "t5"}, "cannot be loaded"),
        ({"model_type": "nobody_knows"}, "cannot be loaded"),
    ],
)
def test_weights_of_another_model_are_not_filled_up_at_random(changed: dict[str, Any], said: str, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changed))
    check_folder(folder)
    with pytest.raises(ConfigError, match=re.escape(said)) as error:
        ChatApp.load(ServeConfig(model=str(folder)))
    assert str(folder) in error.value.problem and "\n" not in error.value.problem


def test_the_reason_is_read_out_of_a_stack() -> None:
    stack = (
        "The deployment failed to start. Error:\n  File x, line 1\nValueError: of torch's\n\nThe above exception was the cause of this:\n"
    )
    own = ConfigError("model", "/m cannot be loaded", "give another")
    assert reason(f"{stack}engine.errors.ConfigError: {own}\n", "/m") == str(own)
    assert reason(f"{stack}torch.OutOfMemoryError: 3 GB\nare too few\n", "/m").startswith("/m cannot be served: 3 GB\nare too few\n  → ")
    assert reason("nothing is known", "/m").startswith("/m cannot be served: nothing is known\n  → ")
