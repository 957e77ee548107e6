"""What somebody wants to have run, as the command that does it: `python -m scripts.synthesize …`, checked before anything starts.

A browser may choose what a run does, never where it writes or what it reads beside the studio's graph and what was uploaded.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, InputError
from samplers.config import GraphConfig, QuestionConfig
from serve.studio.workspace import UPLOADS, Workspace

Compose = Callable[[Sequence[str]], Mapping[str, Any]]
"""Overrides of scripts.synthesize → its whole configuration, resolved; raises ConfigError where the command would."""

MODULE = "scripts.synthesize"

OPEN = (
    "author", "quality", "sampler", "question", "gates", "policy", "faults", "guidance", "curate", "llm", "limits", "cluster", "pools",
    "pipeline", "tools", "web", "run.seed", "run.max_attempts",
)  # fmt: skip
"""Keys, and groups of keys, that may be set line by line."""

GUARDED = (
    "run.dir", "run.name", "run.estimate", "seeds", "questions", "graph", "tape", "gates.benchmarks", "curate.tokenizer",
    "tools.names", "tools.options", "tools.corpus", "web.base_url", "web.allow_private",
)  # fmt: skip
"""Keys that name files, code or addresses: they stay as they are without those lines, however a line is spelled."""

KEY_ENV = re.compile(r"[A-Z][A-Z0-9_]*_API_KEY")
"""Environment variables that hold a model's key; no other variable may be sent to an endpoint."""

_LINE = re.compile(r"[a-z_][A-Za-z0-9_.]*=.*")
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./:@%+-]*")
_BEFORE_QUOTE = re.compile(r"\\+(?='|\Z)")
"""The only backslashes that the grammar takes for more than themselves."""
_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "inf", "nan")
_UPLOADED = re.compile(r"[0-9a-f]{16}(\.[a-z0-9]+)?")


@dataclass(frozen=True, kw_only=True)
class Order:
    """The fields of the form. None and "" leave a key at its default."""

    name: str
    seeds: str = ""
    """Name of an upload; none: all entities of the graph."""
    max_seeds: int | None = None
    strategy: str = "mixed"
    paradigm: str = ""
    """The only one; none: all."""
    difficulty: str = "any"
    model: str = ""
    """Name of the model that plays the agent; none: the scripted policy."""
    base_url: str = ""
    key_env: str = ""
    rollouts: int | None = None
    fault_rate: float | None = None
    qps: float | None = None
    concurrency: int | None = None
    budget_usd: float | None = None
    usd_per_1m_input: float | None = None
    usd_per_1m_output: float | None = None
    more: str = ""
    """A `key=value` per line."""


def command(overrides: Sequence[str], module: str = MODULE) -> str:
    """As a user would type it in a shell."""
    return shlex.join(["python", "-m", module, *overrides])


def overrides_of(order: Order, graph: GraphConfig, workspace: Workspace, compose: Compose) -> list[str]:
    """The command's arguments.

    Raises:
        ConfigError: a key or value is wrong, or is not for a browser to set.
        InputError: the name of the run or of the upload is none.
    """
    own = [f"run.dir={quoted(_short(workspace.place(order.name)))}", *_graph(graph), *_seeds(order, workspace), *_chosen(order)]
    more = [_line(text) for text in order.more.splitlines() if text.strip()]
    plain, whole = compose(own), compose([*own, *more])
    for key in GUARDED:
        if _at(plain, key) != _at(whole, key):
            raise _refused(key)
    for endpoint in (whole["llm"]["default"], *whole["llm"]["roles"].values()):
        if endpoint["api_key_env"] is not None:
            key_variable(endpoint["api_key_env"])
    return [*own, *more]


def key_variable(name: str) -> None:
    """Only what is named like a key is sent to an endpoint.

    Raises:
        ConfigError: it is named otherwise.
    """
    if not KEY_ENV.fullmatch(name):
        problem = f"'{name[:60]}' is no variable for a key"
        raise ConfigError("llm.default.api_key_env", problem, "name an environment variable that ends in _API_KEY")


def upload(workspace: Workspace, name: str) -> Path:
    """Where an uploaded file lies.

    Raises:
        InputError: there is none of that name.
    """
    path = workspace.root / UPLOADS / name
    if not _UPLOADED.fullmatch(name) or not path.is_file():
        raise InputError(name[:60], "is no uploaded file", "upload it again")
    return path


def quoted(value: object) -> str:
    """A value as Hydra's grammar reads it back unchanged."""
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return "'" + _BEFORE_QUOTE.sub(lambda found: found[0] * 2, text).replace("'", "\\'") + "'"


def _graph(graph: GraphConfig) -> list[str]:
    """The studio's own graph."""
    usual = GraphConfig()
    keys = [field.name for field in dataclasses.fields(graph) if field.name != "source"]
    changed = {key: getattr(graph, key) for key in keys if getattr(graph, key) != getattr(usual, key)}
    return [f"graph={graph.source}", *(f"graph.{key}={'null' if value is None else quoted(value)}" for key, value in changed.items())]


def _seeds(order: Order, workspace: Workspace) -> list[str]:
    return [f"seeds={quoted(_short(upload(workspace, order.seeds)))}"] if order.seeds else []


def _chosen(order: Order) -> list[str]:
    """What of the form differs from the defaults."""
    found = [f"sampler={quoted(order.strategy)}"]
    if order.paradigm:
        found += [f"question.paradigms.{name}=0" for name in QuestionConfig().paradigms if name != order.paradigm]
    if order.difficulty != "any":
        found.append(f"question.difficulty={quoted(order.difficulty)}")
    if order.model:
        found += ["policy=llm", "llm=local", f"llm.default.base_url={quoted(order.base_url)}", f"llm.default.model={quoted(order.model)}"]
        found += [f"llm.default.api_key_env={quoted(order.key_env)}"] if order.key_env else []
    prices = ("usd_per_1m_input", "usd_per_1m_output") if order.model else ()
    numbers = {
        "run.max_seeds": order.max_seeds,
        "policy.rollouts": order.rollouts,
        "faults.rate": order.fault_rate,
        "limits.qps": order.qps,
        "limits.concurrency": order.concurrency,
        "limits.budget_usd": order.budget_usd,
        **{f"llm.default.{name}": getattr(order, name) for name in prices},
    }
    if "$" in "".join(found):
        raise ConfigError("llm", "a value holds a dollar sign", "write the value itself")
    return [*found, *(f"{key}={value:g}" for key, value in numbers.items() if value is not None)]


def _line(text: str) -> str:
    """One line of further keys."""
    line = text.strip()
    if not _LINE.fullmatch(line):
        raise ConfigError(line[:60], "is no key=value", "write one key=value per line, such as sampler.size=12")
    key = line.partition("=")[0]
    if not any(key == name or key.startswith(f"{name}.") for name in OPEN):
        raise _refused(key)
    if "$" in line:  # an interpolation could read the environment
        raise ConfigError(key, "holds a dollar sign", "write the value itself")
    return line


def _refused(key: str) -> ConfigError:
    return ConfigError(key, "is not set from a browser: it names files, code or addresses", "start this run from a terminal")


def _at(values: Mapping[str, Any], key: str) -> Any:
    found: Any = values
    for part in key.split("."):
        found = found[part]
    return found


def _short(path: Path) -> str:
    """Relative to where the command runs, if it lies there."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
