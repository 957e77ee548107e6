"""A place to look: graph, question, proof, trajectory, run and score, in a browser.

    python -m scripts.studio                                          # http://127.0.0.1:8080, for this machine only
    python -m scripts.studio graph=path graph.path=DIR runs=DIR       # your graph, your run directories
    python -m scripts.studio host=0.0.0.0 token_env=STUDIO_TOKEN      # for others: with a token

Serves until Ctrl-C or SIGTERM. Runs it started go on without it. Needs the extra `studio`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from engine.config import parse
from engine.errors import ConfigError, UserError
from scripts.settings import CONF, check_overrides, guard, plain_values, read_settings
from serve.studio.config import StudioConfig

ONE_AT_A_TIME = threading.Lock()


def main() -> None:
    """Entry point."""
    guard("studio")
    _hydra_main()


@hydra.main(config_path=str(CONF), config_name="studio", version_base=None)
def _hydra_main(config: DictConfig) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        run(parse(plain_values(config), StudioConfig))
    except UserError as error:
        sys.exit(f"error: {error}")


def run(config: StudioConfig) -> None:
    """Serve until a signal.

    Raises:
        UserError: what is wrong, and what to do.
    """
    if importlib.util.find_spec("nicegui") is None:
        raise UserError("the studio needs nicegui, not installed\n  → pip install -c constraints.txt -e '.[studio]'")
    import uvicorn

    from serve.studio.app import build
    from serve.studio.studio import Studio

    application = build(Studio(config, compose_synthesis))
    with listen(config.host, config.port) as server:
        host, port = f"[{config.host}]" if ":" in config.host else config.host, server.getsockname()[1]
        print(f"studio on http://{host}:{port}/ (Ctrl-C ends it; runs it started go on)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn has ended in good order, and raises it again
            uvicorn.Server(uvicorn.Config(application, log_level="warning", access_log=False, timeout_graceful_shutdown=2)).run(
                sockets=[server]
            )


def compose_synthesis(overrides: Sequence[str]) -> dict[str, Any]:
    """What `scripts.synthesize` makes of its arguments, checked as it does; one at a time, for Hydra keeps its state globally.

    Raises:
        ConfigError: names the key, what is wrong, and the remedy.
    """
    with ONE_AT_A_TIME:
        GlobalHydra.instance().clear()
        try:
            check_overrides(overrides, "synthesize")
            with initialize_config_dir(str(CONF), version_base=None):
                return read_settings(compose("synthesize", list(overrides)))[1]
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError("overrides", str(error).partition("\n")[0], "see the comments in conf/ for what a key takes") from None


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections from now on: who reads the address can come in at once.

    Raises:
        ConfigError: the address is taken, or not this machine's.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(
            "port", f"{host}:{port} cannot be listened on: {error.strerror}", "give another port=, or port=0 for a free one"
        ) from None


if __name__ == "__main__":
    main()
