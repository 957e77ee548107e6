"""A schema written back as YAML, so that a run directory tells under which schema its graph was read."""

from __future__ import annotations

from typing import Any

import yaml

from engine.records import to_dict
from samplers.graph.schema import GraphSchema


def dump_schema(schema: GraphSchema) -> str:
    """YAML that `parse_schema` reads back as an equal schema."""
    values: dict[str, Any] = to_dict(schema)
    folds, merges = values.pop("folds"), values.pop("merges")
    values["relations"] |= {name: {"inverse_of" if fold["reverse"] else "canonical": fold["relation"]} for name, fold in folds.items()}
    values["relations"] |= {name: {"merge": True} for name in merges}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
