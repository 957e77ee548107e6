"""`engine=vllm` where vLLM is not installed: Ray's own types take what we tell them, and without a door there is no service."""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="models are made with the extra 'train'")

from hydra import compose, initialize_config_dir

from engine.config import parse
from engine.errors import ConfigError, InvariantError
from rl.tiny import write_model
from scripts.settings import CONF, check_overrides, plain_values
from serve.config import ServeConfig, ServeSettings, VllmEngine
from serve.deploy import build, values
from serve.vllm import guarded, llm_config

HAS_VLLM = importlib.util.find_spec("vllm") is not None


def settings(*overrides: str) -> ServeSettings:
    check_overrides([*overrides, "model=somewhere"], "serve")
    with initialize_config_dir(str(CONF), version_base=None):
        return parse(plain_values(compose("serve", ["model=somewhere", *overrides])), ServeSettings)


@pytest.mark.parametrize("option", sorted(file.stem for file in (CONF / "serve").glob("*.yaml")))
def test_every_option_composes_and_ray_takes_it(option: str) -> None:
    from ray.llm._internal.serve.core.configs.llm_config import LLMConfig

    composed = settings(f"serve={option}")
    fields = llm_config(replace(composed, vllm=replace(composed.vllm, prefix_routing=HAS_VLLM)))  # the router's class needs vLLM
    assert set(fields) <= set(LLMConfig.model_fields)
    told = LLMConfig(**fields)  # checks the deployment's and the adapters' fields too, and the name of the GPU
    assert told.model_id == composed.served_name and told.engine_kwargs["max_model_len"] == composed.vllm.context


def test_the_router_that_knows_prefixes_is_where_we_say() -> None:
    import ray

    module, _, name = llm_config(ServeConfig(model="m"))["deployment_config"]["request_router_config"]["request_router_class"].rpartition(
        "."
    )
    source = Path(ray.__file__).parent.parent / f"{module.replace('.', '/')}.py"
    assert name in {node.name for node in ast.parse(source.read_text()).body if isinstance(node, ast.ClassDef)}


def test_the_files_say_what_the_code_says_without_them() -> None:
    assert settings() == ServeSettings(model="somewhere")


def test_the_plan_for_a_node_of_eight_fits_it() -> None:
    plan = settings("serve=vllm_32b_8xh200")
    assert plan.engine == "vllm" and plan.vllm.tensor_parallel * plan.vllm.max_replicas == 8
    assert 2 * 32.8 / plan.vllm.tensor_parallel < plan.vllm.memory_share * 141 - 40  # GB per GPU: weights, and room for keys and values


def test_adapters_are_told_to_the_engine_and_to_ray() -> None:
    from ray.llm._internal.serve.core.configs.llm_config import LLMConfig

    fields = llm_config(
        ServeConfig(model="m", vllm=VllmEngine(prefix_routing=False, lora_path="s3://bucket/adapters", engine_kwargs={"max_num_seqs": 9}))
    )
    told = LLMConfig(**fields)
    assert told.multiplex_config().max_num_models_per_replica == 4
    assert told.engine_kwargs["enable_lora"] and told.engine_kwargs["max_num_seqs"] == 9


@pytest.mark.skipif(HAS_VLLM, reason="vLLM is installed")
def test_without_vllm_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="vllm is not installed here"):
        build(values(ServeSettings(model=str(tmp_path), engine="vllm")))


@pytest.mark.skipif(not HAS_VLLM, reason="vLLM is not installed: its argument names and the built application are not checked here")
def test_with_vllm_the_application_is_built(tmp_path: Path) -> None:
    write_model(tmp_path, ["one two three"], 300, hidden=32, layers=1)
    assert build(values(ServeSettings(model=str(tmp_path), engine="vllm")))


class Bare:
    """An ingress that Ray Serve has given no app."""


async def test_an_ingress_whose_door_was_not_hung_is_not_healthy() -> None:
    with pytest.raises(InvariantError):
        await guarded(Bare)(config=ServeConfig(model="m"), mark="fp_1").check_health()
