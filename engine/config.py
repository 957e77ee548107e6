"""Strict, typed configuration: the engine's own keys, and the one parser every room uses.

A config is a tree of frozen dataclasses. `parse` turns plain values (what Hydra composed) into it and refuses unknown
keys, wrong types and values out of range, naming the key and the nearest valid one.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from engine.errors import ConfigError, nearest

C = TypeVar("C")

Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run: where it lives and how it is repeated."""

    name: str = "default"
    """Names the run; `dir` defaults to `runs/<name>`."""
    dir: str = "runs/default"
    """Run directory. Inside a Ray job it must be absolute."""
    seed: int = 0
    """The only seed: every random choice derives from it and from row ids."""
    max_seeds: Positive | None = None
    """Take only the first so many seeds (by id); null takes all."""
    estimate: bool = False
    """Work on a pilot of about 20 seeds only, and print what the whole run would cost."""
    max_attempts: Positive = 3
    """Runs that may try a failing input before it is left as a failure."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """How one stage is spread over the machine."""

    actors: Positive = 1
    """Actor processes."""
    num_cpus: Annotated[float, Field(gt=0)] = 0.25
    """Logical CPUs that Ray reserves per actor."""
    in_flight: Positive = 32
    """Inputs worked on at once inside each actor, each with all its attempts; a slot that one of them leaves goes to the next input."""
    timeout_s: Seconds = 60.0
    """Seconds one attempt may take."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """How rows move between stages."""

    rows_per_block: Positive = 64
    """Inputs per Ray Data block at most, each of which costs Ray some 20 ms of CPU; a small run is divided among all actors."""
    rows_per_shard: Positive = 64
    """Finished inputs per committed shard; less is safer, more is faster."""
    logical_cpus: Positive = 8
    """Logical CPUs of a local Ray; fewer than 4 can starve readers and writers."""
    object_store_mb: Positive = 512
    """Shared memory of a local Ray."""
    report_every_s: Seconds = 5.0
    """Seconds between progress lines when not on a terminal."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimitsConfig:
    """Limits across all workers, per run."""

    qps: Annotated[float, Field(gt=0)] | None = None
    """Model calls per second, all actors together; null is no limit."""
    burst: Annotated[float, Field(ge=1)] = 1.0
    """Calls that may start at once after a pause."""
    tokens_per_minute: Positive | None = None
    """Prompt and completion tokens per minute; null is no limit."""
    concurrency: Positive = 1024
    """Calls in flight at most; the limit in force adapts below this to what the server takes."""
    budget_usd: Annotated[float, Field(ge=0)] | None = None
    """Hard stop on money; null is no limit."""
    budget_tokens: NonNegative | None = None
    """Hard stop on tokens; null is no limit."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TapeConfig:
    """Record and replay of model replies."""

    mode: Literal["record", "replay", "off"] = "record"
    """`record`: replay what is there and write the rest; `replay`: a miss is a failure, no network; `off`: write nothing."""
    dir: str | None = None
    """A folder that all nodes share, or an fsspec URL (whole segments are put there: see docs/guarantees.md); null: `tape/` in the run
    directory."""
    fsync: bool = False
    """Survive a power cut, not only a killed process; costs some milliseconds per call."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """One OpenAI-compatible endpoint: a hosted API, vLLM, the simulator, a tiny CPU model."""

    base_url: str | None = None
    """For example http://127.0.0.1:8000/v1; null: the role has no model."""
    model: str = ""
    """Model name sent with every request."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key; the key itself is never configured, logged or stored."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    max_tokens: Positive = 2048
    """Completion tokens per call."""
    timeout_s: Seconds = 120.0
    """Seconds one call may take in total, from connecting to the last byte."""
    connect_timeout_s: Seconds = 10.0
    """Seconds to open a connection: a server that does not accept by then is down, not busy; tried again."""
    read_timeout_s: Seconds | None = None
    """Seconds the server may be silent: before a reply, which it sends when it is finished, and between two pieces of a
    stream; null: as long as `timeout_s` allows."""
    structured_output: Literal["json_schema", "json_object", "prompt"] = "json_schema"
    """How records are asked for: by a JSON schema the server enforces, as any JSON object with the schema in the prompt, or by
    the prompt alone; for servers that refuse `response_format`."""
    usd_per_1m_input: Annotated[float, Field(ge=0)] = 0.0
    """Price of a million prompt tokens, for the budget."""
    usd_per_1m_output: Annotated[float, Field(ge=0)] = 0.0
    """Price of a million completion tokens."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LLMConfig:
    """Models per role. A role's key that is null is taken from `default`."""

    default: EndpointConfig = EndpointConfig()
    roles: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    """Overrides for author, agent, reader, judge, rewriter."""

    ROLES: typing.ClassVar[tuple[str, ...]] = ("author", "agent", "reader", "judge", "rewriter")

    def role(self, name: str) -> EndpointConfig:
        """The endpoint of a role: `default` with the role's own keys on top."""
        own = {key: value for key, value in self.roles.get(name, {}).items() if value is not None}
        return parse(dataclasses.asdict(self.default) | own, EndpointConfig, f"llm.roles.{name}")


def parse(values: Mapping[str, Any], cls: type[C], prefix: str = "") -> C:
    """Plain values → a config dataclass.

    Args:
        prefix: dotted place of `values` in the whole configuration, for messages.

    Raises:
        ConfigError: names the first wrong key, what is wrong, and what would be right.
    """
    check_keys(values, cls, prefix)
    try:
        return TypeAdapter(cls).validate_python(dict(values), strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        inside = [str(part) for part in first["loc"]]
        key = ".".join([prefix, *inside] if prefix else inside)
        raise ConfigError(key, f"{first['msg']} (got {first['input']!r})", "see the comments in conf/ for what it takes") from None


def check_keys(values: Mapping[str, Any], cls: type[Any], prefix: str = "") -> None:
    """Refuse keys that `cls` does not have, at any depth.

    Raises:
        ConfigError: names the key and the nearest valid ones.
    """
    hints = typing.get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(cls)]
    for key, value in values.items():
        where = f"{prefix}.{key}" if prefix else str(key)
        if key not in known:
            near = nearest(str(key), known) or known
            raise ConfigError(where, "unknown key", f"did you mean {' or '.join(near)}?")
        nested = hints[key]
        if dataclasses.is_dataclass(nested) and isinstance(value, Mapping):
            check_keys(value, typing.cast(type[Any], nested), where)
