"""The agent persona: search, visit, perhaps search again, answer. It knows the question and what the tools said, nothing else.

With skill it reads the hit, and names the candidate, that shares most words with the question; without it the first one.
Questions of several hops are beyond it, and most of its answers are wrong: what it rehearses is the protocol and the load.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.llm.simulator.instance import Filler
from engine.llm.simulator.request import Asked, text_of
from engine.llm.simulator.turn import Call, Turn, words
from engine.records import derive_id

MOST_VISITS = 4
"""Pages per question; how many is drawn from the question, so that rollouts differ in length."""

SEARCH_NAMES = ("search", "google", "query")
VISIT_NAMES = ("visit", "open", "browse", "fetch", "read", "crawl")
URL_PARAMETERS = ("url", "urls", "link", "page_url")

_URL = re.compile(r"\b[a-z]+://[^\s\"'<>)\]]+")
_NUMBER = re.compile(r"^\W*\d*[.)\]]?\s*")


@dataclass(frozen=True, slots=True)
class Hit:
    """One page that a tool named: its address, and the text that stood with it."""

    title: str
    url: str
    text: str


@dataclass(frozen=True, slots=True)
class Seen:
    """The conversation so far: calls made (name, arguments) in order, and the texts that answered them."""

    question: str
    calls: tuple[tuple[str, str], ...]
    results: tuple[str, ...]

    @property
    def hits(self) -> list[Hit]:
        """Pages named by the tools, each address once, in order."""
        found = [hit for result in self.results for hit in read_hits(result)]
        return list({hit.url: hit for hit in reversed(found)}.values())[::-1]

    @property
    def unread(self) -> list[Hit]:
        """Pages named and not opened."""
        return [hit for hit in self.hits if not any(hit.url in arguments for _, arguments in self.calls)]


def act(asked: Asked, rng: random.Random, skill: float) -> Turn:
    """The next message of the agent."""
    seen = _look_back(asked)
    careful = rng.random() < skill
    search, visit = _tool(asked, SEARCH_NAMES), _tool(asked, VISIT_NAMES)
    visits = sum(any(part in name for part in VISIT_NAMES) for name, _ in seen.calls)
    wanted = 1 + int(derive_id("visits", seen.question)[:4], 16) % MOST_VISITS
    if visit and seen.unread and visits < wanted:
        hit = _best(seen) if careful else seen.unread[0]
        return _call(f"{hit.title} may say more.", visit, seen.question, dict.fromkeys(URL_PARAMETERS, hit.url))
    if search and (not seen.results or (visits < wanted and len(seen.calls) <= MOST_VISITS)):
        query = _query(seen)
        if not any(query in arguments for _, arguments in seen.calls):
            return _call("I will search for what the question describes.", search, query)
    if asked.tools and (asked.must_call or not seen.results):
        return _call(f"I will ask {asked.tools[0]['name']}.", asked.tools[0], seen.question)
    return _answer(seen, careful)


def read_hits(result: str) -> list[Hit]:
    """Addresses in a tool's text, each with the line before it (or on it) as title and the lines up to the next one as text."""
    lines = [line.strip() for line in result.splitlines() if line.strip()]
    places = [(number, found.group()) for number, line in enumerate(lines) if (found := _URL.search(line))]
    hits = []
    for place, (number, url) in enumerate(places):
        end = places[place + 1][0] - 1 if place + 1 < len(places) else len(lines)
        title = lines[number - 1] if number else lines[number].split(url)[0]
        hits.append(Hit(_NUMBER.sub("", title, count=1)[:200] or url, url, " ".join(lines[max(0, number - 1) : max(end, number + 1)])))
    return hits


def _look_back(asked: Asked) -> Seen:
    questions = [text_of(message) for message in asked.messages if message["role"] == "user"]
    made = [call["function"] for message in asked.messages for call in message.get("tool_calls") or ()]
    return Seen(
        question=questions[-1] if questions else "",
        calls=tuple((call["name"], _plain(call["arguments"])) for call in made),
        results=tuple(text_of(message) for message in asked.messages if message["role"] == "tool"),
    )


def _plain(arguments: str) -> str:
    """Arguments as text without JSON's escapes, so that an address or a query can be found in it."""
    try:
        return json.dumps(json.loads(arguments), ensure_ascii=False).replace('\\"', '"').replace("\\n", "\n")
    except json.JSONDecodeError:
        return arguments


def _tool(asked: Asked, names: tuple[str, ...]) -> Mapping[str, Any] | None:
    return next((tool for tool in asked.tools if any(part in tool["name"] for part in names)), None)


def _call(thought: str, tool: Mapping[str, Any], text: str, named: Mapping[str, str] | None = None) -> Turn:
    arguments = Filler(text, named=named).fill(tool.get("parameters") or {"type": "object"})
    return Turn(thought, (Call(tool["name"], json.dumps(arguments, ensure_ascii=False)),))


def _query(seen: Seen) -> str:
    """The question at first, then the page read last with the question's longest words."""
    if not seen.calls:
        return seen.question
    longest = sorted(dict.fromkeys(words(seen.question)), key=lambda word: (-len(word), word))[:4]
    last = next((line.strip() for line in seen.results[-1].splitlines() if line.strip()), "")
    return " ".join([last[:80], *longest]) if not last.startswith("Error") else " ".join(longest)


def _overlap(text: str, question: set[str]) -> int:
    return len(question & {word for word in words(text) if len(word) > 3})


def _best(seen: Seen) -> Hit:
    question = set(words(seen.question))
    return max(seen.unread, key=lambda hit: _overlap(hit.text, question))


def _answer(seen: Seen, careful: bool) -> Turn:
    """A page's title that the question does not name; without pages the last result's first line; without that, no answer."""
    question = set(words(seen.question))
    candidates = [hit for hit in seen.hits if not set(words(hit.title)) <= question]
    if candidates:
        pages = {hit.url: " ".join(result for result in seen.results if hit.url in result.split("\n", 2)[:2]) for hit in candidates}
        chosen = max(candidates, key=lambda hit: _overlap(hit.text + pages[hit.url], question)) if careful else candidates[0]
        answer = chosen.title
    else:
        lines = [line.strip() for line in seen.results[-1].splitlines() if line.strip()] if seen.results else []
        answer = lines[0][:200] if lines and not lines[0].startswith("Error") else ""
    if not answer:
        return Turn("I could not find the answer.", gist="unknown")
    return Turn(f"From what I read I answer.\n<answer>{answer}</answer>", gist=answer)
