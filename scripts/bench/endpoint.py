"""What the endpoint's cost is measured with: a model whose time is known and costs no CPU, and a real one in this process. Needs torch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from engine.config import parse
from rl.dataset import load_tokenizer
from rl.generation import Generated, Sampling
from rl.local import LocalModel
from rl.tiny import write_model
from scripts.bench.work import spread
from serve.app import ChatApp
from serve.config import ServeConfig
from serve.wire import read_job

CONTEXT = 4096


class TimedModel:
    """A `TellingModel` that takes a known time for each token and says the same words again and again."""

    context = CONTEXT

    def __init__(self, ids: Sequence[int], token_s: float) -> None:
        self._ids, self._token_s = tuple(ids), token_s

    async def generate(self, prompt: Sequence[int], sampling: Sampling, tell: Callable[[int, float], None] | None = None) -> Generated:
        """As many tokens as are wanted, told one by one where somebody listens."""
        begun, count = time.monotonic(), sampling.max_tokens
        ids = tuple(self._ids[place % len(self._ids)] for place in range(count))
        for place in range(count) if tell else [count - 1]:
            await asyncio.sleep(begun + (place + 1) * self._token_s - time.monotonic())
            if tell:
                tell(ids[place], -1.0)
        return Generated(ids=ids, logprobs=(-1.0,) * count, finish="length")


class TimedEndpoint:
    """A replica like `serve.deploy.Endpoint`, with that model."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        config = parse(values, ServeConfig)
        tokenizer = load_tokenizer(config.model)
        ids = tokenizer.encode("The enzyme is encoded by a gene on the long arm. ", add_special_tokens=False)
        self._app = ChatApp(config, TimedModel(ids, float(Path(config.model, "token_s").read_text())), tokenizer, "fp_timed")

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Asked for by Ray Serve."""
        return self._app.asgi()


def write_folder(folder: Path, texts: Sequence[str], token_s: float) -> None:
    """A model with random weights, and how long the timed one takes for a token."""
    write_model(folder, texts, 2000, hidden=128, layers=4)
    (folder / "token_s").write_text(str(token_s))


def alone(folder: Path, name: str, bodies: Sequence[bytes], in_flight: int) -> float:
    """CPU seconds that the model by itself takes for what these requests ask."""
    tokenizer, model = load_tokenizer(str(folder)), LocalModel.load(folder)
    jobs = [read_job(body, name, tokenizer, CONTEXT, max_tokens=1) for body in bodies]

    async def one(number: int) -> None:
        await model.generate(jobs[number].prompt, jobs[number].samplings[0])

    begun = time.process_time()
    asyncio.run(spread(len(jobs), in_flight, one))
    return time.process_time() - begun
