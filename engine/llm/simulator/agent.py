"""The agent persona: search, visit, perhaps search again, answer. It knows the question and what the tools said, nothing else.

Half of its turns take the hit or the candidate that shares most words with the question, the others the first one, so that
rollouts of one question differ. Measured on 300 questions of the bundled graph, one answer in sixteen is right: what it
rehearses is the protocol and the load, not the skill.
"""

from __future__ import annotations

import functools
import itertools
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

CAREFUL = 0.5
"""Share of turns that weigh what the tools said."""

SEARCH_NAMES = ("search", "google", "query")
VISIT_NAMES = ("visit", "open", "browse", "fetch", "read", "crawl")
URL_PARAMETERS = ("url", "urls", "link", "page_url")

_URL = re.compile(r"\b[a-z]+://[^\s\"'<>)\]]+")
_NUMBER = re.compile(r"^\W*\d*[.)\]]?\s*")


@dataclass(frozen=True, slots=True)
class Hit:
    """One page that a tool named."""

    title: str
    url: str
    words: frozenset[str]
    """Of the text that stood with it, short ones left out."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The conversation so far."""

    question: str
    calls: tuple[tuple[str, str], ...]
    """Name and arguments of the calls made, in order."""
    results: tuple[str, ...]
    """What the tools answered."""
    hits: tuple[Hit, ...]
    """Pages named by the tools, each address once, in order."""

    @property
    def unread(self) -> list[Hit]:
        """Pages named and not opened."""
        opened = " ".join(arguments for _, arguments in self.calls)
        return [hit for hit in self.hits if f'"{hit.url}"' not in opened]


def act(asked: Asked, rng: random.Random) -> Turn:
    """The next message of the agent."""
    seen = _look_back(asked)
    careful = rng.random() < CAREFUL
    search, visit = _tool(asked, SEARCH_NAMES), _tool(asked, VISIT_NAMES)
    visits = sum(any(part in name for part in VISIT_NAMES) for name, _ in seen.calls)
    wanted = 1 + int(derive_id("visits", seen.question)[:4], 16) % MOST_VISITS
    unread = seen.unread if visit and visits < wanted else []
    if visit and unread:
        hit = _closest(unread, seen.question) if careful else unread[0]
        return _call(f"{hit.title} may say more.", visit, seen.question, dict.fromkeys(URL_PARAMETERS, hit.url))
    if search and (not seen.results or (visits < wanted and len(seen.calls) <= MOST_VISITS)):
        query = _query(seen)
        if not any(query in arguments for _, arguments in seen.calls):
            return _call("I will search for what the question describes.", search, query)
    if asked.tools and (asked.must_call or not seen.results):
        return _call(f"I will ask {asked.tools[0]['name']}.", asked.tools[0], seen.question)
    return _answer(seen, careful)


@functools.lru_cache(maxsize=2048)  # every turn of a rollout sends the earlier results again
def read_hits(result: str) -> tuple[Hit, ...]:
    """Addresses in a tool's text, each with the line before it (or on it) as title and the lines up to the next one as text."""
    lines = [line.strip() for line in result.splitlines() if line.strip()]
    places = [(number, found.group()) for number, line in enumerate(lines) if "://" in line and (found := _URL.search(line))]
    hits = []
    for (number, url), after in itertools.zip_longest(places, places[1:]):
        end = max(after[0] - 1, number + 1) if after else len(lines)
        title = lines[number - 1] if number else lines[number].split(url)[0]
        hits.append(Hit(_NUMBER.sub("", title, count=1)[:200] or url, url, long_words(" ".join(lines[max(0, number - 1) : end]))))
    return tuple(hits)


def long_words(text: str) -> frozenset[str]:
    """Words that can tell pages apart."""
    return frozenset(word for word in words(text) if len(word) > 3)


def _look_back(asked: Asked) -> Seen:
    questions = [text_of(message) for message in asked.messages if message["role"] == "user"]
    made = [call["function"] for message in asked.messages for call in message.get("tool_calls") or ()]
    results = tuple(text_of(message) for message in asked.messages if message["role"] == "tool")
    found: dict[str, Hit] = {}
    for hit in itertools.chain.from_iterable(map(read_hits, results)):
        found.setdefault(hit.url, hit)
    return Seen(
        question=questions[-1] if questions else "",
        calls=tuple((call["name"], _plain(call["arguments"])) for call in made),
        results=results,
        hits=tuple(found.values()),
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


def _closest(hits: list[Hit], question: str) -> Hit:
    asked = long_words(question)
    return max(hits, key=lambda hit: len(hit.words & asked))


def _answer(seen: Seen, careful: bool) -> Turn:
    """A page's title that the question does not name; without pages the last result's first line; without that, no answer."""
    named = set(words(seen.question))
    candidates = [hit for hit in seen.hits if not set(words(hit.title)) <= named]
    if candidates:
        answer = (_most_supported(seen, candidates) if careful else candidates[0]).title
    else:
        lines = [line.strip() for line in seen.results[-1].splitlines() if line.strip()] if seen.results else []
        answer = lines[0][:200] if lines and not lines[0].startswith("Error") else ""
    if not answer:
        return Turn("I could not find the answer.", gist="unknown")
    return Turn(f"From what I read I answer.\n<answer>{answer}</answer>", gist=answer)


def _most_supported(seen: Seen, candidates: list[Hit]) -> Hit:
    """By words shared with the question, in the search results and on the page itself where it was opened."""
    question = long_words(seen.question)
    pages = [hit for result in seen.results for hit in read_hits(result)]
    return max(candidates, key=lambda candidate: max(len(page.words & question) for page in pages if page.url == candidate.url))
