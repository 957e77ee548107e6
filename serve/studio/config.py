"""What can be set for the studio."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from engine.config import Positive
from samplers.config import GraphConfig


@dataclass(frozen=True, kw_only=True)
class StudioConfig:
    """One studio."""

    host: str = "127.0.0.1"
    """Address to listen on; others than loopback need `token_env`."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """0 takes a free one."""
    token_env: str | None = None
    """Name of the environment variable with the token that people must give; null: only browsers on this machine come in."""
    runs: str = "runs"
    """Folder whose subfolders are run directories. The studio reads and writes nothing outside it."""
    graph: GraphConfig = field(default_factory=GraphConfig)
    """The graph that Explore and Ask show, and that new runs use."""
    language: Literal["auto", "en", "zh"] = "auto"
    """Of the interface until somebody chooses; auto: what the browser prefers."""
    max_upload_mb: Positive = 8
    """MiB of an uploaded file of seeds, and of any other request."""
