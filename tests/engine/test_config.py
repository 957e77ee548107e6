"""Settings are typed and refused by name."""

from __future__ import annotations

import pytest

from engine.config import EndpointConfig, LimitsConfig, LLMConfig, PoolConfig, parse
from engine.errors import ConfigError, InputError, nearest


def test_unknown_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"(?s)limits\.qsp.*did you mean qps"):
        parse({"qsp": 3}, LimitsConfig, "limits")


@pytest.mark.parametrize("values", [{"actors": 0}, {"actors": "many"}, {"timeout_s": -1}])
def test_wrong_type_or_range_names_the_key_and_the_value(values: dict[str, object]) -> None:
    key, value = next(iter(values.items()))
    with pytest.raises(ConfigError, match=rf"pools\.sample\.{key}.*{value!r}"):
        parse(values, PoolConfig, "pools.sample")


def test_roles_inherit_from_default_and_override_it() -> None:
    config = LLMConfig(default=EndpointConfig(base_url="http://a/v1", model="big"), roles={"agent": {"model": "small", "base_url": None}})
    assert config.role("agent") == EndpointConfig(base_url="http://a/v1", model="small")
    assert config.role("judge") == config.default


def test_nearest_ignores_case_and_keeps_spelling() -> None:
    assert nearest("IMATINIBB", ["Imatinib", "Dasatinib", "aspirin"])[0] == "Imatinib"
    assert nearest("zzz", ["Imatinib"]) == []


def test_input_error_names_file_line_and_remedy() -> None:
    assert str(InputError("a.csv", "no column", "add one", line=3)) == "a.csv, line 3: no column\n  → add one"
