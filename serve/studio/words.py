"""The words of the interface, in English and Chinese, from one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

LANGUAGES = ("en", "zh")
COOKIE = "hopforge_language"


@dataclass(frozen=True)
class Words:
    """The interface in one language: `words("run.stop")`, with values `words("run.rows", count=7)`."""

    language: str

    def __call__(self, key: str, **values: object) -> str:
        """The text under a key, `{name}` replaced by the values.

        Raises:
            KeyError: the table has no such key.
        """
        text = table()[key][LANGUAGES.index(self.language)]
        return text.format(**values) if values else text


@cache
def table() -> Mapping[str, tuple[str, str]]:
    """Key → (English, Chinese)."""
    read = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return {f"{page}.{name}": (texts[0], texts[1]) for page, entries in read.items() for name, texts in entries.items()}


def choose(configured: str, chosen: str | None, accepted: str) -> Words:
    """The words somebody chose, else those configured, else what the browser accepts (`Accept-Language`)."""
    if chosen in LANGUAGES:
        return Words(str(chosen))
    if configured in LANGUAGES:
        return Words(configured)
    return Words("zh" if accepted.strip().lower().startswith("zh") else "en")
