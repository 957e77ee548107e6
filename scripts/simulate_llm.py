"""Serve the simulator: an OpenAI-compatible endpoint without a model, to rehearse a run before paying for it.

    python -m scripts.simulate_llm port=8000 latency=0.8 latency_sigma=0.5 capacity=64 server_errors=0.01
    python -m scripts.synthesize llm=local policy=llm …          # in another terminal

Equal requests get equal replies, in any order and from any process. Port 0 takes a free port; the address is printed.
Ctrl-C or SIGTERM stops it and prints what it saw, which `/stats` shows at any time.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence

from pydantic import TypeAdapter

from engine.config import parse
from engine.errors import ConfigError, UserError
from engine.llm.simulator import Simulator, SimulatorConfig, serve_simulator
from scripts.arguments import parse_arguments


def main(arguments: Sequence[str]) -> int:
    """Entry point; the exit status."""
    options = parse_arguments(_parser(), arguments)
    settings = {field.name: value for field in dataclasses.fields(SimulatorConfig) if (value := getattr(options, field.name)) is not None}
    try:
        simulator = Simulator(parse(settings, SimulatorConfig), _token(options.token_env))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve(simulator, options.port, options.host))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        problem = f"cannot serve on {options.host}:{options.port}: {error.strerror}"
        print(f"error: {problem}\n  → choose another port, or port=0", file=sys.stderr)
        return 2
    return 0


async def serve(simulator: Simulator, port: int, host: str) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ConfigError: the host can be reached from other machines and there is no token.
        OSError: the port is taken.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serve_simulator(simulator, port, host) as url:
        print(f"simulator on {url} ({simulator.fingerprint})", flush=True)
        await stopped.wait()
    print(json.dumps(simulator.traffic.stats()), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.simulate_llm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; others than loopback need a token")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one; default 8000")
    parser.add_argument("--token-env", help="environment variable that holds the bearer token callers must send")
    described = TypeAdapter(SimulatorConfig).json_schema()["properties"]
    for field in dataclasses.fields(SimulatorConfig):
        text = described[field.name]["description"].replace("%", "%%")
        parser.add_argument(f"--{field.name.replace('_', '-')}", metavar="X", help=f"{text} Default: {field.default}.")
    return parser


def _token(variable: str | None) -> str | None:
    if variable is None:
        return None
    token = os.environ.get(variable)
    if not token:
        raise ConfigError("token_env", f"{variable} is not set", f"export {variable}=… before starting the simulator")
    return token


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed (Ray Serve brings it): some 5 % more calls per second with 800 connections, not needed otherwise."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
