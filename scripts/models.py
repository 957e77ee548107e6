"""The model behind a role, as actors build it: HTTP client, shared limits, tape."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import yaml

from engine.config import EndpointConfig
from engine.errors import ConfigError, TroubleError
from engine.limits.limiter import Limiter, Unlimited
from engine.llm.client import HttpChatModel
from engine.llm.protocol import ChatModel
from engine.llm.taped import Absent, TapedChatModel
from engine.storage import Storage
from engine.tape.tape import Tape, TapeMode, local_folder
from scripts.settings import Settings


@dataclass(frozen=True)
class ModelFactory:
    """Builds a role's model inside an actor. Picklable: the key stays in the environment, files and sockets open there."""

    endpoint: EndpointConfig
    limiter: Limiter
    tape: Tape
    stage: str
    fingerprint: str

    def __call__(self) -> ChatModel:
        """A model of its own for each actor; limits and tape are shared by all."""
        self.tape.open()
        shaping = f"{self.fingerprint} temperature={self.endpoint.temperature:g} max_tokens={self.endpoint.max_tokens}"
        model = Absent() if self.tape.mode == TapeMode.REPLAY else HttpChatModel(self.endpoint, self.limiter)
        return TapedChatModel(model, self.tape, self.stage, shaping)


def agent_factory(settings: Settings, storage: Storage, limiter: Limiter, fingerprint: str) -> ModelFactory:
    """The agent role's model for the rollout stage.

    Raises:
        ConfigError: the tape would lie on an object store.
    """
    mode = TapeMode(settings.tape.mode)
    folder = settings.tape.dir or f"{storage.root}/tape"
    if mode != TapeMode.OFF:
        local_folder(folder)
    tape = Tape(folder, mode, fsync=settings.tape.fsync)
    return ModelFactory(settings.llm.role("agent"), limiter, tape, "rollout", fingerprint)


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
