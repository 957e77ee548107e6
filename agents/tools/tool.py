"""What every tool is, how its arguments are checked, and how its errors reach the model."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from agents.records import ToolCall
from agents.tools.clock import off_the_clock
from engine.errors import HopForgeError, RejectedError, TroubleError, nearest
from engine.web.causes import WebTrouble

T = TypeVar("T")

FAILED = "Error:"
"""How a tool's answer begins when it tells of an error."""

_PYTHON_TYPES: dict[str, type] = {"string": str, "integer": int, "array": list}


class ToolError(HopForgeError):
    """A call that gave no result. `str(error)` is what the model reads, so it says what to do next.

    ToolError
    ├── UnknownToolError   no tool of that name
    ├── ArgumentError      the arguments are no JSON object, or do not fit the schema
    ├── NotFoundError      nothing bears that name or address
    └── PassingError       the tool itself is in trouble; the same call may succeed later
        ├── TimedOutError
        ├── RateLimitedError
        └── UnavailableError
    """


class UnknownToolError(ToolError):
    """The model named a tool it was not offered."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        near = nearest(name, known) or sorted(known)
        super().__init__(f"There is no tool named {name!r}." + (f" Use {' or '.join(near)}." if near else ""))


class ArgumentError(ToolError):
    """The arguments cannot be used as they are."""


class NotFoundError(ToolError):
    """The call is well formed and what it asks for does not exist."""


class PassingError(ToolError):
    """The source behind the tool did not give an answer; trying again may help."""

    def __init__(self, tool: str, trouble: str) -> None:
        super().__init__(f"{tool} {trouble}. Try again, or use another tool.")


class TimedOutError(PassingError):
    """No answer in time."""

    def __init__(self, tool: str) -> None:
        super().__init__(tool, "did not answer in time")


class RateLimitedError(PassingError):
    """The source takes no more calls for now."""

    def __init__(self, tool: str) -> None:
        super().__init__(tool, "refuses calls for the moment (429 Too Many Requests)")


class UnavailableError(PassingError):
    """The source could not be reached, or answered nonsense."""

    def __init__(self, tool: str) -> None:
        super().__init__(tool, "is not available at the moment")


class Tool(Protocol):
    """One tool. Stateless between calls: equal arguments give equal results."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of the arguments: an object of `string`, `integer` and `array` (of strings) properties."""

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """The text the model reads, at most `tools.page_chars` characters; `arguments` fit `parameters`.

        Raises:
            ToolError: there is no result.
        """
        ...


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer to one call. `failed`: the text tells of an error."""

    text: str
    failed: bool


async def answer_call(tools: Mapping[str, Tool], call: ToolCall) -> ToolResult:
    """Run one call. A `ToolError` is an answer the model sees; anything else is a bug and propagates."""
    try:
        tool = tools.get(call.name)
        if tool is None:
            raise UnknownToolError(call.name, list(tools))
        return ToolResult(await tool.call(read_arguments(call.arguments, tool.parameters)), failed=False)
    except ToolError as error:
        return failure(error)


async def ask_world(tool: str, effect: Awaitable[T]) -> T:
    """Await what a source outside gives, off the tool's clock; its trouble becomes an error that the model can act on.

    Raises:
        ToolError: the source was in trouble, or said no.
        TroubleError: `tape_miss`: a replay has nothing to show, which is the run's trouble and not the agent's.
    """
    try:
        with off_the_clock():
            return await effect
    except RejectedError as error:
        raise NotFoundError(f"{tool}: {error.detail or error.cause}. Try something else.") from None
    except TroubleError as error:
        if error.cause == "tape_miss":
            raise
        if error.cause == WebTrouble.TIMEOUT:
            raise TimedOutError(tool) from None
        raise (RateLimitedError if error.cause == WebTrouble.OVERLOADED else UnavailableError)(tool) from None


def failure(error: ToolError) -> ToolResult:
    """What the model reads of an error."""
    return ToolResult(f"{FAILED} {error}", failed=True)


def read_arguments(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """JSON text → arguments that fit `schema`; an optional property given as null counts as left out.

    Raises:
        ArgumentError: says which property is wrong and what it should be.
    """
    try:
        values = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise ArgumentError(f"The arguments are not valid JSON ({error.msg} at character {error.pos}). {_expected(schema)}") from None
    except (ValueError, RecursionError) as error:  # lists in lists in lists, a number of thousands of digits
        raise ArgumentError(f"The arguments cannot be read ({error}). {_expected(schema)}"[:400]) from None
    if not isinstance(values, dict):
        raise ArgumentError(f"The arguments must be a JSON object. {_expected(schema)}")
    properties, required = schema["properties"], schema.get("required", ())
    for key in values:
        if key not in properties:
            near = nearest(key, properties)
            raise ArgumentError(f"Unknown argument {key!r}{f', did you mean {near[0]!r}?' if near else '.'} {_expected(schema)}")
    given = {key: value for key, value in values.items() if value is not None}
    for key in required:
        if key not in given:
            raise ArgumentError(f"Argument {key!r} is missing. {_expected(schema)}")
    return {key: _checked(key, value, properties[key]) for key, value in given.items()}


class Described(Protocol):
    """A tool, or a class of tools: what is told of it."""

    @property
    def name(self) -> str:
        """Of the tool."""
        ...

    @property
    def description(self) -> str:
        """For the agent."""
        ...

    @property
    def parameters(self) -> Mapping[str, Any]:
        """JSON schema of the arguments."""
        ...


def wire_schema(tool: Described) -> dict[str, Any]:
    """The tool as OpenAI chat completions wants it in `tools`."""
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _checked(key: str, value: Any, wanted: Mapping[str, Any]) -> Any:
    if wanted["type"] == "integer" and isinstance(value, str) and value.strip().isdecimal():
        value = int(value)  # models often quote numbers
    if not isinstance(value, _PYTHON_TYPES[wanted["type"]]) or isinstance(value, bool):
        raise ArgumentError(f"Argument {key!r} must be of type {wanted['type']}, not {type(value).__name__}.")
    if isinstance(value, list) and not (value and all(isinstance(item, str) and item.strip() for item in value)):
        raise ArgumentError(f"Argument {key!r} must be a list of strings, none of them empty.")
    if "enum" in wanted and value not in wanted["enum"]:
        near = nearest(str(value), wanted["enum"]) or wanted["enum"]
        raise ArgumentError(f"Argument {key!r} must be one of {', '.join(wanted['enum'])}. Did you mean {near[0]}?")
    if isinstance(value, str) and not value.strip() and wanted.get("minLength", 0):
        raise ArgumentError(f"Argument {key!r} must not be empty.")
    if isinstance(value, int) and value < wanted.get("minimum", value):
        raise ArgumentError(f"Argument {key!r} must be at least {wanted['minimum']}.")
    return value


def _expected(schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    parts = [f"{key}{'' if key in required else ' (optional)'}: {value['type']}" for key, value in schema["properties"].items()]
    return f"Expected {{{', '.join(parts)}}}."
