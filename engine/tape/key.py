"""What makes two effects the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.records import canonical_json, derive_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One call to the outside. Equal effects have equal keys, and are paid for once.

    A model call's `scope` is record + rollout + turn, so that equal prompts of different rollouts sample afresh and
    replays do not. A tool call's scope is empty: it is shared by the whole run, and the first committed reply wins.
    """

    kind: str
    """`model`, `search`, `visit`, …"""
    stage: str
    request: Any
    """JSON-ready; hashed in canonical form."""
    fingerprint: str = ""
    """Of the served model, so that another model behind the same name is another effect."""
    scope: str = ""
    ordinal: int = 0
    """Which of several equal calls inside one scope this is."""

    @property
    def key(self) -> bytes:
        """16 bytes."""
        parts = (self.kind, self.stage, canonical_json(self.request), self.fingerprint, self.scope, self.ordinal)
        return bytes.fromhex(derive_id(*parts))
