"""The smallest value that fits a JSON schema, for structured replies and tool arguments.

Covers what the structured outputs of the OpenAI API and of vLLM are used with: types, properties, enum, const, anyOf, oneOf,
allOf, $ref, lengths, ranges and multiples. Not `pattern`, `not`, `if` and conditional keywords: a schema whose smallest value
would have to obey them is refused, never answered wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from engine.errors import HopForgeError
from engine.llm.simulator.request import BadRequest

DEPTHS = (6, 12, 24)
"""Levels tried one after the other, so that a recursive schema ends at its first chance; beyond the last it is refused."""

UNSUPPORTED = ("pattern", "not", "if", "dependentSchemas", "dependentRequired", "minProperties", "uniqueItems", "contains")

FORMATS = {
    "date": "2024-01-01",
    "time": "00:00:00Z",
    "date-time": "2024-01-01T00:00:00Z",
    "email": "a@example.org",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-0000-0000-000000000000",
}


class _TooDeepError(HopForgeError):
    """More levels are needed than are allowed now."""


class Filler:
    """Makes instances. Free strings become `text`, free booleans `verdict`; properties in `named` get that text; `choice` is taken
    where an `enum` has it."""

    def __init__(self, text: str, verdict: bool = False, named: Mapping[str, str] | None = None, choice: str = "") -> None:
        self._text, self._verdict, self._named, self._choice = text, verdict, named or {}, choice
        self._deepest = DEPTHS[0]

    def fill(self, schema: Mapping[str, Any]) -> Any:
        """An instance of `schema`.

        Raises:
            BadRequest: the schema uses what is not covered, is no schema, or has no finite instance.
        """
        for self._deepest in DEPTHS:
            try:
                return self._any(schema, schema, 0, self._text)
            except _TooDeepError:
                continue
            except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                raise _refused(f"This is not a valid JSON schema ({type(error).__name__}: {error}).") from error
        raise _refused("The schema has no finite instance.")

    def _any(self, schema: Mapping[str, Any] | bool, root: Mapping[str, Any], depth: int, text: str) -> Any:
        if isinstance(schema, bool):
            schema = {}
        if depth > self._deepest:
            raise _TooDeepError
        for keyword in UNSUPPORTED:
            if schema.get(keyword):
                raise _refused(f"The simulator cannot make values for the schema keyword '{keyword}'.")
        if "$ref" in schema:
            return self._any(_resolve(schema["$ref"], root), root, depth + 1, text)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._choose(schema["enum"])
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._first_finite(schema[keyword], root, depth, text)
        if "allOf" in schema:
            return self._any(_merged(schema, root), root, depth + 1, text)
        return self._typed(schema, root, depth, text)

    def _choose(self, values: list[Any]) -> Any:
        """The choice, or a verdict (`yes`, `correct`, `A`), is looked for among the values; without one it is the first."""
        if self._choice and self._choice in values:
            return self._choice
        wanted = ("true", "yes", "correct", "a") if self._verdict else ("false", "no", "incorrect", "b")
        return next((value for value in values if str(value).lower() in wanted), values[0])

    def _first_finite(self, options: list[Mapping[str, Any]], root: Mapping[str, Any], depth: int, text: str) -> Any:
        for option in options[:-1]:
            try:
                return self._any(option, root, depth + 1, text)
            except (_TooDeepError, BadRequest):
                continue
        return self._any(options[-1], root, depth + 1, text)

    def _typed(self, schema: Mapping[str, Any], root: Mapping[str, Any], depth: int, text: str) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "array" if "items" in schema else "string")
        match kind[0] if isinstance(kind, list) else kind:
            case "object":
                return self._object(schema, root, depth, text)
            case "array":
                items = schema.get("items", {})
                return [self._any(items, root, depth + 1, text) for _ in range(schema.get("minItems", 0))]
            case "string":
                return _string(schema, text)
            case "integer":
                return int(_number(schema, whole=True))
            case "number":
                return _number(schema, whole=False)
            case "boolean":
                return self._verdict
            case _:
                return None

    def _object(self, schema: Mapping[str, Any], root: Mapping[str, Any], depth: int, text: str) -> dict[str, Any]:
        properties = schema.get("properties", {})
        return {
            name: self._any(properties.get(name, {}), root, depth + 1, self._named.get(name, text)) for name in schema.get("required", ())
        }


def _string(schema: Mapping[str, Any], text: str) -> str:
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    return text[: schema.get("maxLength")].ljust(schema.get("minLength", 0), "x")


def _number(schema: Mapping[str, Any], whole: bool) -> float:
    """The number nearest to 0 that the schema allows; above an exclusive bound by a step of 1, or halfway to the other bound."""
    step: float | None = schema.get("multipleOf", 1 if whole else None)
    least: float = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    most: float = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    value: float = min(max(0, least), most)
    if step is not None:
        value = math.ceil(value / step) * step
        value += step * (value == schema.get("exclusiveMinimum"))
        value -= step * (value > most or value == schema.get("exclusiveMaximum"))
        return value
    if value in (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")):
        value = (max(least, most - 2) + min(most, least + 2)) / 2
    return value


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    node: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part and (not isinstance(node, dict) or part not in node):
            raise _refused(f"The schema reference '{reference}' leads nowhere.")
        node = node[part] if part else node
    resolved: Mapping[str, Any] = node
    return resolved


def _merged(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """`allOf` as one schema: properties and required lists joined, of other keywords the last one holds."""
    parts: list[Mapping[str, Any]] = [{name: value for name, value in schema.items() if name != "allOf"}]
    parts += [_resolve(part["$ref"], root) if "$ref" in part else part for part in schema["allOf"]]
    merged = {name: value for part in parts for name, value in part.items()}
    merged["properties"] = {name: value for part in parts for name, value in part.get("properties", {}).items()}
    merged["required"] = list(dict.fromkeys(name for part in parts for name in part.get("required", ())))
    return merged if merged["properties"] else {name: value for name, value in merged.items() if name not in ("properties", "required")}


def _refused(message: str) -> BadRequest:
    return BadRequest(message, "response_format.json_schema.schema")
