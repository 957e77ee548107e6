"""A causal language model in this process that continues many prompts at once, fast where the model is so small that a step costs more
Python than arithmetic.

Requests join while others run (continuous batching: Yu et al., Orca, OSDI 2022), and what was computed for a prompt's beginning is kept
(`rl.slots`). A seeded draw, and any draw at temperature 0, depends on prompt, weights and seed alone: each request has a generator
of its own. Its company changes only in which order floats are summed (about 1e-6 of a logit), so two runs part where a draw lies that
close to the border between two tokens, and nowhere else.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM

from engine.errors import ConfigError, InputError, RejectedError
from rl.dataset import load_tokenizer
from rl.draw import draw
from rl.generation import Generated, Sampling
from rl.slots import Prefixes, Slots
from rl.tokens import TokenCause

T = TypeVar("T")

PASS_TOKENS = 4096
"""Prompt tokens of one forward pass, about: beyond it a wider batch gains nothing, and memory grows."""
MEBIBYTE = 1 << 20


@dataclass(eq=False)
class _Row:
    """A request on its way."""

    prompt: list[int]
    sampling: Sampling
    generator: random.Random
    answer: asyncio.Future[Generated]
    tell: Callable[[int, float], None] | None = None
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    done: int = 0
    """Tokens of prompt and continuation whose keys and values are in the slot."""

    def rest(self) -> list[int]:
        """Tokens the model has not read."""
        return self.ids[-1:] if self.ids else self.prompt[self.done :]


class LocalModel:
    """`TokenModel` over a Hugging Face causal LM with full attention in every layer."""

    def __init__(
        self, model: Any, ends: Iterable[int], *, threads: int = 1, max_batch: int = 64, cache_mb: int = 256, seed: int = 0
    ) -> None:
        """A model on the CPU; `load` reads one from a folder.

        Args:
            ends: tokens that end a turn.
            threads: for arithmetic.
            max_batch: requests that run at once; others wait.
            cache_mb: MiB of earlier keys and values.
            seed: of draws that bring no seed.

        Raises:
            ConfigError: the model has layers that are not plain attention over everything before.
        """
        kinds = set(getattr(model.config, "layer_types", None) or ["full_attention"]) - {"full_attention"}
        if kinds:
            raise ConfigError("model", f"has layers of the kind {min(kinds)}", "use a model with full attention, or serve it with vLLM")
        self._model, self._ends, self._max_batch = model.eval(), frozenset(ends), max_batch
        self.context: int = model.config.max_position_embeddings
        """Tokens that prompt and continuation may have together."""
        self._slots = Slots(model.config.num_hidden_layers)
        self._prefixes = Prefixes(cache_mb * MEBIBYTE)
        self._random = random.Random(seed)
        self._waiting: deque[_Row] = deque()
        self._joining: list[_Row] = []
        self._running: list[_Row] = []
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "local-model", initializer=torch.set_num_threads, initargs=(threads,))

    @classmethod
    def load(cls, folder: str | Path, *, threads: int = 1, max_batch: int = 64, cache_mb: int = 256, seed: int = 0) -> Self:
        """The model of a Hugging Face folder in fp32. Nothing is downloaded, and no code of the folder is run.

        Raises:
            ConfigError: it holds no such model or tokenizer.
        """
        tokenizer = load_tokenizer(str(folder))
        model = _read_weights(str(folder))
        told = model.generation_config.eos_token_id
        ends = {tokenizer.eos_token_id, *(told if isinstance(told, list) else [told])} - {None}
        return cls(model, ends, threads=threads, max_batch=max_batch, cache_mb=cache_mb, seed=seed)

    async def generate(self, prompt: Sequence[int], sampling: Sampling, tell: Callable[[int, float], None] | None = None) -> Generated:
        """See `TokenModel`. At temperature 0 the log-probabilities are 0: the distribution drawn from has one token.

        Args:
            tell: called in the event loop with every token and its log-probability as they are drawn, for who cannot wait.
        """
        room = self.context - len(prompt)
        if room < 1:
            raise RejectedError(TokenCause.TOO_LONG, f"{len(prompt):,} tokens leave no room in a context of {self.context:,}")
        loop = asyncio.get_running_loop()
        generator = random.Random(self._random.getrandbits(64) if sampling.seed is None else sampling.seed)
        row = _Row(list(prompt), sampling, generator, loop.create_future(), tell)
        self._waiting.append(row)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._serve())
        return await row.answer

    async def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> int:
        """Take over new weights between two steps, and forget what was computed with the old ones; how many tensors there were.

        Requests that run go on with the new weights over their old keys and values.

        Raises:
            InputError: a name or a shape is not the model's.
        """
        return await self._in_thread(partial(self._load_weights, dict(weights)))

    async def _serve(self) -> None:
        """Step until nobody waits; what goes wrong goes to those who wait."""
        try:
            while self._waiting or self._running:
                ended = await self._in_thread(self._step)
                for row in (*self._running, *ended):
                    if row.tell:
                        row.tell(row.ids[-1], row.logprobs[-1])  # a step draws one token for each
                for row in ended:
                    if not row.answer.done():
                        row.answer.set_result(Generated(ids=tuple(row.ids), logprobs=tuple(row.logprobs), finish=self._finish(row)))
        except Exception as error:  # noqa: BLE001 - not swallowed: it is raised where each of them awaits its answer
            told = error
            self._give_up(lambda answer: answer.set_exception(told))
        except asyncio.CancelledError:
            self._give_up(lambda answer: answer.cancel())
            raise

    def _give_up(self, tell: Callable[[asyncio.Future[Generated]], object]) -> None:
        rows = [*self._running, *self._joining, *self._waiting]
        self._running, self._joining = [], []
        self._waiting.clear()
        for row in rows:
            if not row.answer.done():
                tell(row.answer)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @torch.inference_mode()  # type: ignore[untyped-decorator]  # torch carries no types here
    def _step(self) -> list[_Row]:
        """Let waiting requests join, and give every request a token; those that have ended."""
        self._leave([row for row in self._running if row.answer.done()])  # nobody waits for them any more
        room = self._max_batch - len(self._running)
        self._joining = joining = [self._waiting.popleft() for _ in range(min(len(self._waiting), room))]
        if self._running:
            self._advance(0, self._running)
        first = {tuple(row.prompt): row for row in joining}
        self._join(list(first.values()))
        self._join([row for row in joining if row is not first[tuple(row.prompt)]])  # these find their prompt read
        self._joining = []
        ended = [row for row in self._running if self._has_ended(row)]
        self._leave(ended)
        return ended

    def _join(self, rows: Sequence[_Row]) -> None:
        """Read the prompts, as far as they are new."""
        known = {id(row): self._prefixes.longest(row.prompt) for row in rows}
        for row in rows:
            if found := known[id(row)]:
                row.done = found[0]
        rows = sorted(rows, key=lambda row: len(row.rest()))  # neighbours of like length waste little padding
        first = len(self._running)
        for slot, row in enumerate(rows, first):
            if found := known[id(row)]:
                self._slots.write(slot, found[1], row.done)
        self._running += rows
        for size in _pass_sizes([len(row.rest()) for row in rows]):
            part = self._running[first : first + size]
            alone = [row for row in part if not row.done]  # a continued prompt is one conversation's; nobody else will bring it
            self._advance(first, part)
            for slot, row in enumerate(part, first):
                if row in alone:
                    self._prefixes.keep(row.prompt, self._slots.read(slot, row.done))
            first += size

    def _advance(self, first: int, rows: Sequence[_Row]) -> None:
        """One forward pass over neighbouring slots, and one token for each."""
        rests = [row.rest() for row in rows]
        longest = max(map(len, rests))
        tokens = torch.tensor([rest + [0] * (longest - len(rest)) for rest in rests])
        positions, mask = self._slots.aim(first, torch.tensor([row.done for row in rows]), longest)
        ends = torch.tensor([len(rest) - 1 for rest in rests])
        places, which = ends.unique(return_inverse=True)
        output = self._model(
            input_ids=tokens,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=self._slots.cache,
            use_cache=True,
            logits_to_keep=places,
        )
        logits = output.logits[torch.arange(len(rows)), which]
        ids, logprobs = draw(logits, [row.sampling for row in rows], [row.generator for row in rows])
        for row, rest, token, logprob in zip(rows, rests, ids, logprobs, strict=True):
            row.done += len(rest)
            row.ids.append(token)
            row.logprobs.append(logprob)

    def _leave(self, rows: Sequence[_Row]) -> None:
        """Free the slots of these, closing each gap with the last one in use."""
        for row in rows:
            slot = self._running.index(row)
            if row.ids[-1] in self._ends:  # a turn is over; the next one's prompt begins with it
                self._prefixes.keep((row.prompt + row.ids)[: row.done], self._slots.read(slot, row.done))
            last = self._running.pop()
            if last is not row:
                self._slots.move(len(self._running), slot, last.done)
                self._running[slot] = last

    def _has_ended(self, row: _Row) -> bool:
        limit = min(row.sampling.max_tokens, self.context - len(row.prompt))
        return row.ids[-1] in self._ends or len(row.ids) >= limit

    def _finish(self, row: _Row) -> Literal["stop", "length"]:
        return "stop" if row.ids[-1] in self._ends else "length"

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _load_weights(self, weights: Mapping[str, torch.Tensor]) -> int:
        own = self._model.state_dict()
        for name, weight in weights.items():
            if name not in own or own[name].shape != weight.shape:
                raise InputError(
                    "model weights", f"{name} {tuple(weight.shape)} is not in this model", "send the weights of the same model"
                )
            own[name].copy_(weight)
        self._prefixes.clear()
        return len(weights)


def _read_weights(folder: str) -> Any:
    """A model in fp32. What the weights lack, transformers would draw at random and warn of; here it is an error.

    Raises:
        ConfigError: see `LocalModel.load`.
    """
    try:
        model, told = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            attn_implementation="sdpa",
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # they are told below, by name
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0].partition(". ")[0]
        raise ConfigError("model", f"{folder} cannot be loaded ({said})", "give the folder of a causal language model") from error
    lacking = sorted({*told["missing_keys"], *(key for key, *_ in told["mismatched_keys"])})
    if lacking:
        problem = f"the weights in {folder} are not those of its config.json: {lacking[0]} is missing or of another shape"
        problem += f", and so are {len(lacking) - 1} more" if lacking[1:] else ""
        raise ConfigError("model", problem, "copy the whole folder again: config.json and weights must be of one model")
    return model


def _pass_sizes(lengths: Sequence[int]) -> list[int]:
    """How many neighbouring rows go into each pass, so that padded tokens stay near `PASS_TOKENS`."""
    sizes: list[int] = []
    longest = 0
    for length in lengths:
        longest = max(longest, length)
        if not sizes or (sizes[-1] + 1) * longest > PASS_TOKENS:
            sizes.append(0)
            longest = length
        sizes[-1] += 1
    return sizes
