"""What a browser may have run: the command it comes to, read back by the command's own code, and what it may not reach."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import ConfigError, InputError
from samplers.config import GraphConfig
from scripts.settings import Settings
from scripts.studio import compose_synthesis
from serve.studio.orders import GUARDED, OPEN, Order, command, overrides_of, quoted
from serve.studio.workspace import Workspace

STRINGS = {
    "sampler.strategy", "llm.default.base_url", "llm.default.model", "llm.default.api_key_env", "run.name", "run.dir", "seeds", "questions",
    "tape.dir", "graph.path", "graph.store", "graph.schema", "gates.benchmarks", "curate.tokenizer", "tools.names", "tools.corpus",
    "web.base_url",
}  # fmt: skip
"""Every key of the command that takes any text: each is guarded, or harmless, or looked at by itself."""

HARMLESS = {"sampler.strategy", "llm.default.base_url", "llm.default.model"}
LOOKED_AT = {"llm.default.api_key_env"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(str(tmp_path / "runs"))


@functools.cache
def _composed(overrides: tuple[str, ...]) -> Mapping[str, typing.Any]:
    return compose_synthesis([f"run.dir={overrides[0]}", *overrides[1:]])


def composed(overrides: Sequence[str]) -> Mapping[str, typing.Any]:
    """Half a second each: what differs in its folder alone is composed once."""
    assert overrides[0].startswith("run.dir=")
    return _composed(("runs/mine", *overrides[1:]))


def ordered(workspace: Workspace, **fields: typing.Any) -> list[str]:
    return overrides_of(Order(name="mine", **fields), GraphConfig(), workspace, composed)


def test_the_command_says_what_the_form_says(workspace: Workspace) -> None:
    uploaded = workspace.keep_upload("seeds.csv", b"entity\nimatinib\n")
    overrides = ordered(
        workspace, seeds=uploaded.name, max_seeds=8, strategy="max_chain", paradigm="count", difficulty="easy", model="it's 'm'",
        base_url="http://127.0.0.1:8000/v1", key_env="MY_API_KEY", rollouts=2, fault_rate=0.25, qps=2.5, concurrency=4, budget_usd=1.5,
        usd_per_1m_output=0.6, more="sampler.size=12\n\n question.min_hops=3 ",
    )  # fmt: skip
    values = compose_synthesis(overrides)
    assert values["run"]["dir"] == str(workspace.root / "mine") and values["seeds"] == str(uploaded)
    assert values["run"]["max_seeds"] == 8 and values["sampler"]["strategy"] == "max_chain" and values["sampler"]["size"] == 12
    assert [name for name, weight in values["question"]["paradigms"].items() if weight] == ["count"]
    assert values["question"]["difficulty"] == "easy" and values["question"]["min_hops"] == 3
    model = values["llm"]["default"]
    assert (model["model"], model["api_key_env"], model["usd_per_1m_output"]) == ("it's 'm'", "MY_API_KEY", 0.6)
    assert values["policy"]["kind"] == "llm" and values["policy"]["rollouts"] == 2 and values["faults"]["rate"] == 0.25
    assert values["limits"]["qps"] == 2.5 and values["limits"]["concurrency"] == 4 and values["limits"]["budget_usd"] == 1.5
    assert command(ordered(workspace)).startswith("python -m scripts.synthesize run.dir=")


def test_the_studios_graph_goes_into_the_command(workspace: Workspace) -> None:
    graph = GraphConfig(source="path", path="/data/a graph", store=None)
    assert overrides_of(Order(name="mine"), graph, workspace, composed)[1:4] == [
        "graph=path", "graph.path='/data/a graph'", "graph.store=null",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("run.dir=/tmp/x", "not set from a browser"),
        ("seeds=/etc/passwd", "not set from a browser"),
        ("graph=generated", "not set from a browser"),
        ("tape.dir=/tmp", "not set from a browser"),
        ("curate.tokenizer=/etc/passwd", "not set from a browser"),
        ("tools=medical", "not set from a browser"),
        ("web.allow_private=true", "not set from a browser"),
        ("hydra.run.dir=/tmp", "not set from a browser"),
        ("llm.roles.judge.api_key_env=AWS_SECRET", "no variable for a key"),
        ("llm.default.model=${oc.env:HOME}", "dollar sign"),
        ("~sampler", "no key=value"),
        ("+a.b=1", "no key=value"),
        ("sampler.siz=3", "did you mean sampler.size"),
        ("sampler.size=300", "less than or equal to 64"),
        ("sampler.size=3,4", "sampler.size=3,4"),
        ("sampler=maxchain", "max_chain"),
    ],
)
def test_what_a_browser_may_not_set_or_is_wrong_is_refused_by_name(workspace: Workspace, line: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told.replace(".", r"\.")):
        ordered(workspace, more=line)


@pytest.mark.parametrize("name", ["../out", "/tmp/x", "a/b/c", "", "x" * 101, ".hidden", "a\nb"])
def test_a_name_that_is_none_is_refused(workspace: Workspace, name: str) -> None:
    with pytest.raises(InputError):
        overrides_of(Order(name=name), GraphConfig(), workspace, composed)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "0123456789abcdef.csv", "x.csv"])
def test_seeds_are_uploads_and_nothing_else(workspace: Workspace, name: str) -> None:
    with pytest.raises(InputError, match="no uploaded file"):
        ordered(workspace, seeds=name)


def test_fields_do_not_smuggle_interpolations(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="dollar"):
        ordered(workspace, model="${oc.env:HOME}", base_url="http://x")


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
@example("0.")
@example("\\'")
@example("null")
@settings(max_examples=100)
def test_every_text_is_read_back_as_it_is(text: str) -> None:
    read = OverridesParser.create().parse_override(f"key={quoted(text)}").value()
    assert str(getattr(read, "text", read)) == text


def test_each_key_that_takes_any_text_was_thought_of() -> None:
    """A key that is new here and names a file must be guarded."""
    assert set(_strings(Settings)) == STRINGS
    closed = {key for key in STRINGS if any(key == name or key.startswith(f"{name}.") for name in GUARDED)}
    never = {key for key in STRINGS if not any(key == name or key.startswith(f"{name}.") for name in OPEN)}
    assert closed | never | HARMLESS | LOOKED_AT == STRINGS and not (closed | never) & (HARMLESS | LOOKED_AT)


def _strings(cls: type, prefix: str = "") -> list[str]:
    found = []
    for name, hint in typing.get_type_hints(cls).items():
        if typing.get_origin(hint) is typing.ClassVar:
            continue
        if dataclasses.is_dataclass(hint):
            found += _strings(typing.cast(type, hint), f"{prefix}{name}.")
        elif hint is str or (str in typing.get_args(hint) and typing.get_origin(hint) is not Mapping):
            found.append(f"{prefix}{name}")
    return found
