"""`engine=vllm`: our settings in the terms of `ray.serve.llm`, and its ingress behind our door.

That package cannot be imported without vLLM, so it is imported when it is used.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from ray.serve import Application
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from engine.errors import ConfigError, InvariantError
from serve.config import ServeConfig
from serve.fingerprint import fingerprint
from serve.guard import Door, Guard

PREFIX_ROUTER = "ray.serve.llm.request_router.PrefixCacheAffinityRouter"


def build(config: ServeConfig) -> Application:
    """The OpenAI app of `ray.serve.llm`.

    Raises:
        ConfigError: the folder holds no model.
    """
    library = importlib.import_module("ray.serve.llm")
    ingress = guarded(importlib.import_module("ray.serve.llm.ingress").OpenAiIngress)
    arguments = {"config": config, "mark": fingerprint(config.model)}
    application: Application = library.build_openai_app(
        {
            "llm_configs": [library.LLMConfig(**llm_config(config))],
            "ingress_cls_config": {"ingress_cls": ingress, "ingress_extra_kwargs": arguments},
        }
    )
    return application


def check_installed() -> None:
    """Raises: ConfigError: vLLM is not installed."""
    if importlib.util.find_spec("vllm") is None:
        remedy = "install it on a GPU node (pip install '.[gpu]'), or serve small models with engine=transformers"
        raise ConfigError("engine", "vllm is not installed here", remedy)


def llm_config(config: ServeConfig) -> dict[str, Any]:
    """The fields of a `ray.serve.llm.LLMConfig`; what vLLM's engine takes stands in `engine_kwargs` under vLLM's own names."""
    vllm = config.vllm
    engine = {
        "tensor_parallel_size": vllm.tensor_parallel,
        "max_model_len": vllm.context,
        "gpu_memory_utilization": vllm.memory_share,
        "enable_prefix_caching": True,
        "enable_auto_tool_choice": True,
        "tool_call_parser": vllm.tool_parser,
    }
    deployment: dict[str, Any] = {
        "max_ongoing_requests": config.max_requests,
        "autoscaling_config": {
            "min_replicas": config.replicas,
            "max_replicas": max(config.replicas, vllm.max_replicas),
            "target_ongoing_requests": vllm.target_in_flight,
        },
    }
    if vllm.prefix_routing:
        deployment["request_router_config"] = {"request_router_class": PREFIX_ROUTER}
    fields = {
        "model_loading_config": {"model_id": config.served_name, "model_source": config.model},
        "engine_kwargs": engine,
        "deployment_config": deployment,
    }
    if vllm.accelerator:
        fields["accelerator_type"] = vllm.accelerator
    if vllm.lora_path:
        fields["lora_config"] = {"dynamic_lora_loading_path": vllm.lora_path, "max_num_adapters_per_replica": vllm.max_loras}
        engine |= {"enable_lora": True, "max_lora_rank": vllm.lora_rank, "max_loras": vllm.max_loras}
    engine |= vllm.engine_kwargs
    return fields


def guarded(ingress: type[Any]) -> type[Any]:
    """An ingress class of Ray Serve behind our door, whose list of models tells the weights' fingerprint.

    Ray Serve hands a replica its app in `_set_asgi_app`, which is its own affair: should a later version do it otherwise, the replica
    says that it is not healthy and nobody is let in.
    """

    class GuardedIngress(ingress):  # type: ignore[misc]  # a class that is known only where vLLM is
        """Made anew in every process: it is sent by value."""

        def __init__(self, *arguments: Any, config: ServeConfig, mark: str, **named: Any) -> None:
            self._door, self._name, self._mark, self._guarded = Door.of(config), config.served_name, mark, False
            super().__init__(*arguments, **named)

        def _set_asgi_app(self, app: ASGIApp) -> None:
            super()._set_asgi_app(Guard(app, self._door))
            self._guarded = True

        async def check_health(self) -> None:
            """Raises: InvariantError: the app stands open."""
            if not self._guarded:
                raise InvariantError("this version of Ray Serve does not take our door")

        async def models(self) -> Response:
            """GET /v1/models."""
            told = (await super().models()).model_dump()
            for model in told["data"]:  # an adapter is named after the model: `<name>:<subfolder>`
                model["fingerprint"] = self._mark + model["id"].removeprefix(self._name)
            return JSONResponse(told)

    return GuardedIngress
