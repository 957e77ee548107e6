"""The scripted policy's handwork: finding pages, opening them, reading on, asking the graph. Knows no proof."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from agents.policies.reading import parts_left, read_hits
from agents.policies.thoughts import Voice, name_list
from samplers.graph.names import normalise

T = TypeVar("T")

WIDTH = 4
"""Calls in one message."""
MAX_PARTS = 5
"""Parts of one long result that are read."""


@dataclass(frozen=True, slots=True)
class Move:
    """The next assistant message: a thought and the calls that follow from it."""

    thought: str
    calls: tuple[tuple[str, Mapping[str, Any]], ...]


Script = Generator[Move, list[str], T]
"""Yields moves, is sent the texts that the tools returned (in the order of the calls), and returns a result."""


@dataclass(frozen=True, slots=True)
class Text:
    """What a tool returned about one entity. `whole`: nothing was left out."""

    text: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Topic:
    """What is looked for in a text: words for the thought (`need`) and for the tools (`goal`, `relation`)."""

    need: str
    goal: Callable[[str], str]
    """Name the page is about → goal of the visit."""
    relation: str = ""


class Research:
    """One rollout's desk: what was noted since the last message, which addresses are known, which pages were read whole."""

    def __init__(self, tools: Iterable[str], voice: Voice) -> None:
        offered = set(tools)
        self.has_pages, self.has_graph = {"search", "visit"} <= offered, "graph_lookup" in offered
        self._voice = voice
        self._notes: list[str] = []
        self._begun = False
        self._urls: dict[str, list[str]] = {}
        self._whole: dict[str, Text] = {}

    def note(self, key: str, **slots: object) -> None:
        """Remember an observation for the next message."""
        self._notes.append(self._voice.say(key, **slots))

    def thoughts(self) -> str:
        """What was noted since the last message."""
        text = " ".join(self._notes)
        self._notes.clear()
        return text

    def pages(
        self, names: Sequence[str], topic: Topic, search: Mapping[str, tuple[str, str]], thought: str = ""
    ) -> Script[dict[str, list[Text]]]:
        """The first part of every page that bears one of the names as title. A page that was read whole is not opened again.

        Args:
            search: name → words to search by, and other words when those find no page of that title.
            thought: key of the thought before opening; by default `visit` or `visit_each`.
        """
        yield from self._find(names, search)
        places = [(name, url) for name in names for url in self._urls.get(normalise(name), ())]
        read: dict[str, list[Text]] = {name: [] for name in names}
        for batch in _batches([place for place in places if place[1] not in self._whole]):
            titles = list(dict.fromkeys(name for name, _ in batch))
            self.note(thought or ("visit" if len(titles) == 1 else "visit_each"), need=topic.need, names=name_list(titles))
            texts = yield from self._call([("visit", {"url": url, "goal": topic.goal(name)}) for name, url in batch])
            for (name, url), text in zip(batch, texts, strict=True):
                if text.whole:
                    self._whole[url] = text
                else:
                    read[name].append(text)
        for name, url in places:
            if url in self._whole:
                read[name].append(self._whole[url])
        return read

    def read_on(self, name: str, topic: Topic, enough: Callable[[list[Text]], bool], patience: int) -> Script[list[Text]]:
        """Parts 2 to `patience` of the pages of that title that are too long for one answer, until `enough` holds of those read."""
        read: list[Text] = []
        for url in self._urls.get(normalise(name), ()):
            for part in range(2, 2 if url in self._whole else patience + 1):
                if enough(read):
                    return read
                self.note("read_on")
                read += yield from self._call([("visit", {"url": url, "goal": topic.goal(name), "page": part})])
                if read[-1].whole:
                    break
        return read

    def lookups(self, names: Sequence[str], topic: Topic, thought: str, patience: int = MAX_PARTS) -> Script[dict[str, list[Text]]]:
        """What the graph says about every name; results in parts are read to the end, or to part `patience`."""
        read: dict[str, list[Text]] = {name: [] for name in names}
        for batch in _batches(names):
            open_names, part = list(batch), 1
            while open_names and part <= patience:
                self.note(thought if part == 1 else "read_on", need=topic.need)
                calls = [("graph_lookup", _lookup_arguments(name, topic.relation, part)) for name in open_names]
                texts = yield from self._call(calls)
                for name, text in zip(open_names, texts, strict=True):
                    read[name].append(text)
                open_names = [name for name, text in zip(open_names, texts, strict=True) if parts_left(text.text)]
                part += 1
        return read

    def _find(self, names: Sequence[str], search: Mapping[str, tuple[str, str]]) -> Script[None]:
        """Search until there is an address for every name, or its other words have been tried too."""
        for attempt in (0, 1):
            missing = [name for name in names if normalise(name) not in self._urls]
            for batch in _batches(missing):
                first = "search_next" if self._begun else "search_first"
                self.note("search_again" if attempt else first, names=name_list([search[name][0] for name in batch]))
                texts = yield from self._call([("search", {"query": search[name][attempt]}) for name in batch])
                for text in texts:
                    for title, url in read_hits(text.text):
                        known = self._urls.setdefault(normalise(title), [])
                        if url not in known:
                            known.append(url)

    def _call(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> Script[list[Text]]:
        self._begun = True
        texts = yield Move(self.thoughts(), tuple(calls))
        return [Text(text, whole=not parts_left(text) and not text.startswith("Error:")) for text in texts]


def _lookup_arguments(name: str, relation: str, part: int) -> dict[str, Any]:
    arguments: dict[str, Any] = {"entity": name}
    if relation:
        arguments["relation"] = relation
    if part > 1:
        arguments["page"] = part
    return arguments


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), WIDTH):
        yield items[start : start + WIDTH]
