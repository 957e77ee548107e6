"""A local search index over pages: BM25 in NumPy arrays, built once and shared by every process of a node."""

from __future__ import annotations

import bisect
import itertools
import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import bm25s
import numpy as np
import pyarrow as pa
from bm25s.stopwords import STOPWORDS_EN

from engine.errors import InputError
from engine.web.documents import Document

TITLE_WEIGHT = 4
"""A title word counts as this many words of text: a page *about* a thing comes before pages that mention it."""
WORD_BYTES = 48
"""Words are told apart by their first 48 bytes, so that the vocabulary is one fixed-width NumPy array."""
SNIPPET_CHARS = 240
SNIPPET_SCAN_CHARS = 4000
"""A snippet is looked for in the first so many characters: a query stays under 2 ms even where pages are long."""

_WORD = re.compile(r"[^\W_]+")
_STOPWORDS = frozenset(STOPWORDS_EN)


def words(text: str) -> list[str]:
    """Search terms of a text: NFKC, case folded, split at everything that is not a letter or digit, English stop words
    dropped, plural endings folded (the S stemmer of Harman, "How effective is suffixing?", JASIS 1991)."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [_singular(word) for word in _WORD.findall(folded) if word not in _STOPWORDS]


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result. `document` is the page's number in the index."""

    document: int
    title: str
    url: str
    snippet: str
    score: float


class TextIndex:
    """BM25 (Lucene's variant, k1 = 1.5, b = 0.75, by the library bm25s) over pages; read-only after `build`.

    Everything large is a NumPy or Arrow buffer, so a pickle of protocol 5 carries it out of band and an object store
    maps one copy into every process. Pages are kept in the order of their ids, which also decides between equal scores.
    """

    def __init__(self, pages: pa.Table, by_url: np.ndarray, vocabulary: np.ndarray, retriever: bm25s.BM25) -> None:
        """Use `TextIndex.build`."""
        self._pages, self._by_url, self._vocabulary, self._retriever = pages, by_url, vocabulary, retriever

    @classmethod
    def build(cls, documents: Iterable[Document]) -> TextIndex:
        """Index `documents`; the result does not depend on their order.

        Raises:
            InputError: two pages share an id, or there is no page.
        """
        ordered = sorted(documents, key=lambda document: document.id)
        for first, second in itertools.pairwise(ordered):
            if first.id == second.id:
                raise InputError(second.source or "pages", f"two pages share the id {first.id!r}", "give every page its own id")
        if not ordered:
            raise InputError("pages", "there is no page to search", "add a corpus or a graph with at least one entity")
        token_lists = [words(page.title) * TITLE_WEIGHT + words(page.text) or [""] for page in ordered]
        vocabulary = _vocabulary(token_lists)
        by_url = np.array(sorted(range(len(ordered)), key=lambda row: (ordered[row].url, row)), dtype=np.int32)
        return cls(_table(ordered), by_url, vocabulary, _retriever(token_lists, vocabulary))

    def __len__(self) -> int:
        return int(self._pages.num_rows)

    def document(self, number: int) -> Document:
        """Page number `number` (0 … len − 1, in the order of ids)."""
        return Document(**{name: self._pages.column(name)[number].as_py() for name in self._pages.column_names})

    def page(self, url_or_id: str) -> Document | None:
        """The page with this url, else with this id; of several pages with one url the one with the smallest id."""
        urls, ids = self._pages.column("url"), self._pages.column("id")
        place = _find(url_or_id, len(self), lambda row: urls[int(self._by_url[row])].as_py())
        if place is not None:
            return self.document(int(self._by_url[place]))
        place = _find(url_or_id, len(self), lambda row: ids[row].as_py())
        return None if place is None else self.document(place)

    def search(self, query: str, k: int) -> list[Hit]:
        """The `k` best pages, best first; fewer when fewer pages share a word with the query."""
        terms = list(dict.fromkeys(words(query)))
        numbers = _lookup(self._vocabulary, terms)
        if not numbers or k < 1:
            return []
        scores: np.ndarray = self._retriever.get_scores_from_ids(numbers)
        found = np.flatnonzero(scores)
        if len(found) > k:  # everything that may be among the best k, equal scores at the border included
            border = np.partition(scores[found], -k)[-k]
            found = found[scores[found] >= border]
        best = found[np.lexsort((found, -scores[found]))][:k]
        return [self._hit(int(row), float(scores[row]), terms) for row in best]

    def _hit(self, row: int, score: float, terms: Sequence[str]) -> Hit:
        title, url, text = (self._pages.column(name)[row].as_py() for name in ("title", "url", "text"))
        return Hit(document=row, title=title, url=url, snippet=_snippet(text, terms), score=score)


def _singular(word: str) -> str:
    """ "therapies" → "therapy", "drugs" → "drug"; "virus", "bus" and "process" stay."""
    if len(word) > 3 and word.endswith("s"):
        if word.endswith("ies") and word[-4] not in "ae":
            return word[:-3] + "y"
        if word[-2] not in "us":
            return word[:-1]
    return word


def _vocabulary(token_lists: Sequence[Sequence[str]]) -> np.ndarray:
    distinct = {word for tokens in token_lists for word in tokens}
    return np.unique(np.array([word.encode() for word in distinct], dtype=f"S{WORD_BYTES}"))


def _lookup(vocabulary: np.ndarray, terms: Sequence[str]) -> list[int]:
    """Numbers of those terms that the vocabulary holds, in the order of the terms."""
    wanted = np.array([term.encode() for term in terms] or [b""], dtype=vocabulary.dtype)
    places = np.minimum(np.searchsorted(vocabulary, wanted), len(vocabulary) - 1)
    return [int(place) for place, term in zip(places, wanted, strict=True) if term and vocabulary[place] == term]


def _retriever(token_lists: Sequence[Sequence[str]], vocabulary: np.ndarray) -> bm25s.BM25:
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # the library talks at DEBUG whatever the root logger says
    retriever = bm25s.BM25(backend="numpy", csc_backend="numpy")
    numbers = {word: number for number, word in enumerate(vocabulary.tolist())}
    ids = [[numbers[word.encode()[:WORD_BYTES].rstrip(b"\0")] for word in tokens] for tokens in token_lists]
    retriever.index((ids, numbers), create_empty_token=False, show_progress=False)
    # The library's own dictionaries are not needed for scoring by number, and would be copied into every process.
    retriever.vocab_dict, retriever.unique_token_ids_set = {}, None
    return retriever


def _table(documents: Sequence[Document]) -> pa.Table:
    names = ("id", "title", "url", "text", "source", "license")
    columns = {name: pa.array([getattr(document, name) for document in documents], type=pa.large_string()) for name in names}
    return pa.table(columns)


def _find(value: str, length: int, key: Callable[[int], str]) -> int | None:
    """First place of `value` among `key(0) ≤ key(1) ≤ …`, or None."""
    place = bisect.bisect_left(range(length), value, key=key)
    return place if place < length and key(place) == value else None


def _snippet(text: str, terms: Sequence[str]) -> str:
    """The line with the most query words (the first of several), cut around its first query word."""
    lines = text[:SNIPPET_SCAN_CHARS].splitlines() or [""]
    folded = [line.casefold() for line in lines]
    best = max(range(len(lines)), key=lambda row: (sum(term in folded[row] for term in terms), -row))
    line = lines[best].strip()
    if len(line) <= SNIPPET_CHARS:
        return line
    first = min((place for place in (folded[best].find(term) for term in terms) if place >= 0), default=0)
    start = max(0, min(first - SNIPPET_CHARS // 3, len(line) - SNIPPET_CHARS))
    cut = line[start : start + SNIPPET_CHARS].strip()
    return f"{'… ' if start else ''}{cut}{' …' if start + SNIPPET_CHARS < len(line) else ''}"
