"""The command line of the endpoint: what is wrong is said before anything starts; what `serve deploy` reads is what the page shows."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch", reason="the app needs the extra 'train'")

from engine.errors import ConfigError, UserError
from rl.tiny import write_model
from scripts.serve import free_port, main, run
from serve.config import ServeSettings
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "serving.md"


def test_mistakes_are_named_before_ray_starts(tmp_path: Path) -> None:
    model = str(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for settings, key in (
            (ServeSettings(model=model, host="0.0.0.0"), "host"),
            (ServeSettings(model=model, host="192.0.2.1", token_env="PATH", port=0), "host"),
            (ServeSettings(model=model, port=taken.getsockname()[1]), "port"),
            (ServeSettings(model=model, token_env="NO_SUCH_TOKEN", port=0), "token_env"),
            (ServeSettings(model=model, port=0), "model"),
            (ServeSettings(model=str(tmp_path / "nowhere"), port=0), "model"),
        ):
            with pytest.raises(ConfigError) as error:
                run(settings)
            assert error.value.key == key


def test_an_unknown_key_is_named_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["serve", "model=somewhere", "engin=vllm"])
    with pytest.raises(SystemExit, match="did you mean engine"):
        main()


def test_a_free_port_is_free() -> None:
    first, second = free_port("127.0.0.1"), free_port("::1")
    assert 0 < first < 65536 and 0 < second < 65536


def test_the_file_for_serve_deploy_is_one(tmp_path: Path) -> None:
    from ray.serve.schema import ServeDeploySchema

    from serve import deploy

    (text,) = re.findall(r"```yaml\n(# serve\.yaml.*?)```", PAGE.read_text(), re.DOTALL)
    told = yaml.safe_load(text)
    checked = ServeDeploySchema.model_validate(told)
    (application,) = checked.applications
    module, _, name = application.import_path.partition(":")
    assert (module, name) == ("serve.deploy", "build") and checked.http_options.host == "127.0.0.1"
    write_model(tmp_path, ["one two three"], 300, hidden=32, layers=1)
    assert deploy.build(application.args | {"model": str(tmp_path), "token_env": None})


@pytest.mark.usefixtures("ray_local")
def test_a_model_that_does_not_load_ends_in_one_message_that_names_its_folder(tmp_path: Path) -> None:
    from ray import serve as ray_serve

    write_model(tmp_path, ["one two three"], 300, hidden=32, layers=1)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2}))
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(UserError) as error:
            run(ServeSettings(model=str(tmp_path), port=0))
    finally:
        ray_serve.shutdown()
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    problem, remedy = str(error.value).split("\n")
    assert f"the weights in {tmp_path} are not those of its config.json" in problem and "copy the whole folder again" in remedy
