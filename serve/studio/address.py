"""What Explore and Ask show, as their address says it: a reload, a bookmark and the back button give the same page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any
from urllib.parse import urlencode

from samplers.config import SamplerConfig
from samplers.questions.difficulty import BANDS
from samplers.questions.paradigms import PARADIGMS
from samplers.strategies import STRATEGIES
from serve.studio.ego import LARGEST

ANY = "any"
_WHOLE = re.compile(r"-?[0-9]{1,12}")
CHOICES: Mapping[str, tuple[str, ...]] = {
    "strategy": tuple(sorted(STRATEGIES)),
    "paradigm": (ANY, *(paradigm.value for paradigm in PARADIGMS)),
    "difficulty": tuple(BANDS),
}
BOUNDS: Mapping[str, tuple[int, int]] = {
    "radius": (1, 5),
    "size": (10, LARGEST),
    "nodes": (3, 64),
    "draw": (-1, 2**31),
    "hops": (1, 8),
}


@dataclass(frozen=True, kw_only=True)
class Address:
    """The parameters of both pages; what is left out, or makes no sense, is as here."""

    seed: str = ""
    """Name of an entity, as somebody wrote it."""
    radius: int = 2
    size: int = 300
    """Entities drawn."""
    at: str = ""
    """Id of the entity that is told beside the drawing; empty: the seed's."""
    seeds: str = ""
    """Name of an uploaded file."""
    strategy: str = SamplerConfig.strategy
    nodes: int = SamplerConfig.size
    """Entities of a subgraph."""
    draw: int = -1
    """`run.seed` of the run that would draw the same; -1: none is drawn."""
    paradigm: str = ANY
    difficulty: str = ANY
    hops: int = 2

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Address:
        """From the address of a page."""
        read: dict[str, Any] = {}
        for item in fields(cls):
            text = parameters.get(item.name)
            if text is None:
                continue
            if item.name in BOUNDS:
                least, most = BOUNDS[item.name]
                read |= {item.name: min(most, max(least, int(text)))} if _WHOLE.fullmatch(text) else {}
            elif item.name not in CHOICES or text in CHOICES[item.name]:
                read[item.name] = text
        return cls(**read)

    def changed(self, **changes: Any) -> Address:
        """The same but for some parameters, kept within their bounds."""
        return Address.of({name: str(value) for name, value in (asdict(self) | changes).items()})

    def url(self, page: str, **changes: Any) -> str:
        """The address of a page that shows this, or what `changes` make of it."""
        told = {name: value for name, value in asdict(self.changed(**changes)).items() if value != getattr(Address, name)}
        return f"/{page}?{urlencode(told)}" if told else f"/{page}"
