"""What can be set for serving, beside what each key drives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from engine.config import NonNegative, Positive, Seconds, Share


@dataclass(frozen=True, kw_only=True)
class LocalEngine:
    """`engine=transformers`: a small model in each replica's own process."""

    threads: Positive = 1
    """For arithmetic, per replica."""
    num_cpus: Annotated[float, Field(gt=0)] = 1.0
    """Logical CPUs that Ray reserves per replica."""
    max_batch: Positive = 64
    """Requests that take each step together; others wait."""
    cache_mb: NonNegative = 256
    """MiB of keys and values kept from earlier requests: a conversation's next turn costs only what is new."""
    max_tokens: Positive = 2048
    """Of a reply whose request names no limit."""


@dataclass(frozen=True, kw_only=True)
class VllmEngine:
    """`engine=vllm`: what is told to `ray.serve.llm`."""

    accelerator: str | None = None
    """Ray's name of the GPU, for example H200; null: any."""
    tensor_parallel: Positive = 1
    """GPUs per replica."""
    max_replicas: Positive = 1
    """Replicas under load; `replicas` is their number without."""
    target_in_flight: Positive = 64
    """Requests per replica beyond which another one is started."""
    context: Positive = 32768
    """Tokens that prompt and continuation may have together."""
    memory_share: Share = 0.9
    """Of each GPU's memory, for weights and cache."""
    tool_parser: str = "hermes"
    """vLLM's name of the form in which the model writes tool calls."""
    prefix_routing: bool = True
    """Send a conversation's next turn to the replica that has computed the earlier ones."""
    lora_path: str | None = None
    """Cloud folder (s3://…, gs://…, abfss://…) whose subfolders are adapters; asked for as model `<name>:<subfolder>`."""
    lora_rank: Positive = 32
    """Highest rank of an adapter."""
    max_loras: Positive = 4
    """Adapters that a replica holds at once."""
    engine_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Any other argument of vLLM's engine, by vLLM's name."""


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """One endpoint."""

    model: str
    """Hugging Face folder; nothing is downloaded and no code of it is run."""
    name: str | None = None
    """Under which requests ask for it; null: the folder's name."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """What runs it: our own loop for small models, or vLLM."""
    replicas: Positive = 1
    """Processes that each hold the model."""
    token_env: str | None = None
    """Name of the environment variable with the token that callers must send; null: only this machine may call."""
    max_body_mb: Positive = 8
    """MiB of a request."""
    timeout_s: Seconds = 600.0
    """Seconds a request may take."""
    max_requests: Positive = 256
    """Requests that a replica holds at once, waiting ones included; more are answered 429."""
    transformers: LocalEngine = LocalEngine()
    vllm: VllmEngine = VllmEngine()

    @property
    def served_name(self) -> str:
        """What requests call the model."""
        return self.name or Path(self.model).resolve().name


@dataclass(frozen=True, kw_only=True)
class ServeSettings(ServeConfig):
    """Everything `scripts.serve` can be told."""

    host: str = "127.0.0.1"
    """Address to listen on; others than loopback need `token_env`."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0 takes a free one."""
    logical_cpus: Positive = 8
    """Of a local Ray."""
    object_store_mb: Positive = 256
    """Shared memory of a local Ray."""
    with_parent: bool = False
    """End when the process that started it ends, however that ends; for programs that serve for a while. Linux only."""
