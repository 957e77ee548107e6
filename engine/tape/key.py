"""What makes two effects the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from engine.records import canonical_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One call to the outside. Equal effects have equal keys, and are paid for once.

    A model call's `scope` is record + rollout + turn, so that equal prompts of different rollouts sample afresh and
    replays do not. A tool call's scope is empty: it is shared by the whole run, and the first committed reply wins.

    Neither the request nor any other field holds an API key: keys are read where a connection is opened and nowhere
    else, so a tape (and what is exported from it) can be handed on.
    """

    kind: str
    """`model`, `search`, `visit`, …"""
    stage: str
    request: Any
    """JSON-ready; hashed in canonical form, never stored."""
    fingerprint: str = ""
    """Of the served model, so that another model behind the same name is another effect."""
    scope: str = ""
    ordinal: int = 0
    """Which of several equal calls inside one scope this is."""

    @property
    def key(self) -> bytes:
        """16 bytes."""
        parts = (self.kind, self.stage, canonical_json(self.request), self.fingerprint, self.scope, str(self.ordinal))
        text = "\x1f".join(parts).encode(errors="backslashreplace")  # a model may write half a surrogate pair
        return hashlib.blake2b(text, digest_size=16).digest()

    @property
    def label(self) -> dict[str, Any]:
        """What is stored beside the reply, so that a tape can be read without the run: all but the request."""
        return {
            "kind": self.kind,
            "stage": self.stage,
            "fingerprint": self.fingerprint,
            "scope": self.scope,
            "ordinal": self.ordinal,
        }
