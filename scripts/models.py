"""The model behind a role, as actors build it: HTTP client, shared limits, tape."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

from engine.config import EndpointConfig
from engine.errors import ConfigError, TroubleError
from engine.limits.budget import NOTHING, Cost
from engine.limits.limiter import Limiter, Unlimited, make_limiter
from engine.llm.client import HttpChatModel
from engine.llm.protocol import ChatModel
from engine.llm.taped import KIND, Absent, TapedChatModel
from engine.storage import Storage
from engine.tape.survey import export, segments
from engine.tape.tape import Tape, TapeMode, local_folder
from engine.telemetry.calls import CallSite, MeteredChatModel, MeteredLimiter, MeteredReplies, tally_of
from scripts.settings import Settings


@dataclass(frozen=True)
class ModelFactory:
    """Builds a role's model inside an actor. Picklable: the key stays in the environment, files and sockets open there."""

    endpoint: EndpointConfig
    limiter: Limiter
    tape: Tape
    stage: str
    fingerprint: str
    role: str = "agent"

    def __call__(self) -> ChatModel:
        """A model of its own for each actor; limits and tape are shared by all."""
        self.tape.open()
        return MeteredReplies(TapedChatModel(self._paid_model(), self.tape, self.stage, self.shaping), tally_of(self.site))

    @property
    def site(self) -> CallSite:
        """The tags of its calls."""
        return CallSite(self.role, self.stage, self.endpoint.model)

    @property
    def shaping(self) -> str:
        """All that shapes a reply and is not in the request: the fingerprint of its effects on the tape."""
        return f"{self.fingerprint} temperature={self.endpoint.temperature:g} max_tokens={self.endpoint.max_tokens}"

    def _paid_model(self) -> ChatModel:
        if self.tape.mode == TapeMode.REPLAY:
            return Absent()
        tally = tally_of(self.site)
        return MeteredChatModel(HttpChatModel(self.endpoint, MeteredLimiter(self.limiter, tally)), tally)


def spent_so_far(settings: Settings, storage: Storage, fingerprint: str) -> Cost | None:
    """What the replies of a run's model have cost at the configured prices; None when no tape is kept.

    Summed over the tape and not over the rows' usage: the tape also holds the replies of rows that failed later, over all
    runs in the same directory, and the sum is the same whatever was killed on the way. Not in it: a reply that a second
    worker paid for at the same moment, calls that the server billed without answering, and tool calls. A tape that
    several runs share (`tape.dir`) counts for all of them together.

    Args:
        fingerprint: of the served model; empty for the scripted policy.
    """
    if not fingerprint:
        return NOTHING
    if settings.tape.mode == "off":
        return None
    endpoint = settings.llm.role("agent")
    asked = agent_factory(settings, storage, Unlimited(), fingerprint)
    folder, tokens = Path(_tape_folder(settings, storage)), Counter[str]()
    for line in export(folder) if segments(folder) else ():
        effect = line["effect"]
        if "reply" in line and (effect["kind"], effect["stage"], effect["fingerprint"]) == (KIND, asked.stage, asked.shaping):
            tokens.update({name: line["reply"][name] for name in ("prompt_tokens", "completion_tokens")})
    usd = tokens["prompt_tokens"] * endpoint.usd_per_1m_input + tokens["completion_tokens"] * endpoint.usd_per_1m_output
    return Cost(usd / 1e6, tokens.total())


def cost_usd(settings: Settings, storage: Storage, fingerprint: str) -> float | None:
    """`spent_so_far` in US dollars for the manifest; 0 where nothing is priced, without a look at the tape."""
    endpoint = settings.llm.role("agent")
    if not (endpoint.usd_per_1m_input or endpoint.usd_per_1m_output):
        return 0.0
    spent = spent_so_far(settings, storage, fingerprint)
    return None if spent is None else round(spent.usd, 6)


def shared_limiter(settings: Settings, storage: Storage, fingerprint: str) -> Limiter:
    """The limits of a run, its budget less what earlier runs in the same directory have spent; Ray must be running."""
    limits = settings.limits
    budgeted = limits.budget_usd is not None or limits.budget_tokens is not None
    return make_limiter(limits, (spent_so_far(settings, storage, fingerprint) or NOTHING) if budgeted else NOTHING)


def agent_factory(settings: Settings, storage: Storage, limiter: Limiter, fingerprint: str) -> ModelFactory:
    """The agent role's model for the rollout stage.

    Raises:
        ConfigError: the tape would lie on an object store.
    """
    mode = TapeMode(settings.tape.mode)
    folder = _tape_folder(settings, storage)
    if mode != TapeMode.OFF:
        local_folder(folder)
    tape = Tape(folder, mode, fsync=settings.tape.fsync)
    return ModelFactory(settings.llm.role("agent"), limiter, tape, "rollout", fingerprint)


def _tape_folder(settings: Settings, storage: Storage) -> str:
    return settings.tape.dir or f"{storage.root}/tape"


def served_fingerprint(settings: Settings, storage: Storage) -> str:
    """What the agent's endpoint serves; a replay, which asks nobody, takes it from the recorded run.

    Raises:
        ConfigError: endpoint or key is not set, or nobody answers there.
    """
    if settings.tape.mode == "replay":
        recorded = yaml.safe_load(storage.read("config.yaml")) if storage.exists("config.yaml") else {}
        if "agent_fingerprint" not in recorded:
            raise ConfigError(
                "tape.mode", f"{storage.root} holds no recorded run to replay", "record first, with tape=record and the same run.dir"
            )
        return str(recorded["agent_fingerprint"])
    return asyncio.run(_ask_fingerprint(settings.llm.role("agent")))


async def _ask_fingerprint(endpoint: EndpointConfig) -> str:
    model = HttpChatModel(endpoint, Unlimited())
    try:
        return await model.fingerprint()
    except TroubleError as error:
        remedy = "start the server, or set llm.default.base_url to one that runs"
        raise ConfigError("llm.default.base_url", f"{endpoint.base_url} does not answer ({error.detail})", remedy) from None
    finally:
        await model.close()
