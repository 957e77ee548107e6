"""The endpoint as a Ray Serve application: what `scripts.serve` runs, and what `serve deploy` imports as `serve.deploy:build`."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ray import serve as ray_serve
from ray.serve import Application
from starlette.types import ASGIApp

from engine.config import parse
from engine.errors import ConfigError, UserError
from engine.fate import die_with_node
from serve import vllm
from serve.config import ServeConfig, ServeSettings

NAME = "hopforge"
SLACK = 2
"""Requests that are handed to a replica, in units of those it holds: it answers the others itself, in the API's own words."""
ERROR = re.compile(r"^(?:\w+\.)*(\w*(?:Error|Exception)): ", re.MULTILINE)
"""Where a stack tells the class of an error; what it says follows."""
OURS = ("ConfigError", "InputError", "UserError")
"""They name the folder and the remedy."""
LATE_S = 30.0
"""The proxy gives up so much later than a replica: then the replica is stuck."""


class Endpoint:
    """A replica of `engine=transformers`."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Raises: ConfigError: see `ChatApp.load`."""
        from serve.app import ChatApp  # noqa: PLC0415 - torch is imported where the model runs, not where it is deployed from

        die_with_node()
        self._app = ChatApp.load(parse(values, ServeConfig))

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Asked for by Ray Serve when the replica is up."""
        return self._app.asgi()


def build(args: Mapping[str, Any]) -> Application:
    """The application of a `ServeConfig` given as plain values.

    Raises:
        ConfigError: a value is wrong, what the engine needs is not installed, or the folder holds no whole model.
    """
    config = parse(args, ServeConfig)
    if config.engine == "transformers" and importlib.util.find_spec("torch") is None:
        raise ConfigError("engine", "transformers needs torch, which is not installed", "pip install -c constraints.txt -e '.[train]'")
    if config.engine == "vllm":
        vllm.check_installed()
    from serve.folder import check_folder  # noqa: PLC0415 - needs what was just looked for

    check_folder(config.model)
    if config.engine == "vllm":
        return vllm.build(config)
    return deployed(config, Endpoint)


def deployed(config: ServeConfig, replica: type[Any]) -> Application:
    """The application whose replicas are of a class like `Endpoint`."""
    deployment = ray_serve.deployment(
        ray_serve.ingress()(replica),
        name="Endpoint",
        num_replicas=config.replicas,
        max_ongoing_requests=SLACK * config.max_requests,
        max_queued_requests=SLACK * config.max_requests,
        max_constructor_retry_count=1,
        ray_actor_options={"num_cpus": config.transformers.num_cpus},
    )
    application: Application = deployment.bind(asdict(config))
    return application


def values(settings: ServeSettings) -> dict[str, Any]:
    """What `build` takes of the settings: all but where it listens, with the folder as every replica finds it."""
    told = asdict(settings) | {"model": str(Path(settings.model).resolve())}
    return {field.name: told[field.name] for field in fields(ServeConfig)}


def start(application: Application, settings: ServeSettings, port: int) -> None:
    """Serve on this machine's `port`; returns when the model answers.

    Raises:
        UserError: a replica does not start; the reason is in its message.
    """
    http = {"host": settings.host, "port": port, "request_timeout_s": settings.timeout_s + LATE_S}
    ray_serve.start(proxy_location="HeadOnly", http_options=http, logging_config={"log_level": "WARNING", "enable_access_log": False})
    try:
        ray_serve.run(application, name=NAME, route_prefix="/")
    except RuntimeError as error:
        deployments = ray_serve.status().applications[NAME].deployments.values()
        raise UserError(reason("\n".join([str(error), *(one.message for one in deployments)]), settings.model)) from error


def reason(told: str, model: str) -> str:
    """Why a replica did not start, out of the stack that Ray Serve tells: its last error, and of ours the whole message."""
    *_, kind, said = ERROR.split(f"RuntimeError: {told}")
    if kind in OURS:
        return said.strip()
    return f"{model} cannot be served: {said.strip()}\n  → give the folder of a model that its engine can load"
