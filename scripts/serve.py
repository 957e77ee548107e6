"""An OpenAI endpoint for a model, on Ray Serve.

    python -m scripts.serve model=runs/sft/model                                     # small models, on the CPU
    python -m scripts.serve model=DIR engine=vllm serve=vllm_32b_8xh200 token_env=TOKEN host=0.0.0.0

Prints the address when the model answers, and serves until Ctrl-C or SIGTERM. Needs the extra `train` (torch), or `gpu` (vLLM).
"""

from __future__ import annotations

import errno
import logging
import signal
import socket
import sys
import threading

import hydra
from omegaconf import DictConfig

from engine.config import PipelineConfig, parse
from engine.errors import ConfigError, UserError
from engine.fate import die_with_node
from engine.pipeline.session import ray_session
from scripts.settings import CONF, guard, plain_values
from serve.config import ServeSettings
from serve.guard import Door, check_host


def main() -> None:
    """Entry point."""
    guard("serve")
    _hydra_main()


@hydra.main(config_path=str(CONF), config_name="serve", version_base=None)
def _hydra_main(config: DictConfig) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        run(parse(plain_values(config), ServeSettings))
    except UserError as error:
        sys.exit(f"error: {error}")


def run(settings: ServeSettings) -> None:
    """Check, deploy, wait for a signal.

    Raises:
        UserError: what is wrong, and what to do.
    """
    if settings.with_parent:
        die_with_node()
    check_host(settings.host, settings)
    free_port(settings.host, settings.port)
    Door.of(settings)
    from ray import serve as ray_serve

    from serve import deploy

    application = deploy.build(deploy.values(settings))
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    with ray_session(PipelineConfig(logical_cpus=settings.logical_cpus, object_store_mb=settings.object_store_mb)):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.default_int_handler)
        try:
            port = settings.port or free_port(settings.host)
            deploy.start(application, settings, port)
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            print(f"{settings.served_name} on http://{host}:{port}/v1", flush=True)
            threading.Event().wait()
        except KeyboardInterrupt:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # who started it may send it too, while Ctrl-C reaches both
            print("stopping", flush=True)
        finally:
            ray_serve.delete(deploy.NAME)


def free_port(host: str, port: int = 0) -> int:
    """A port nobody listens on now: this one, or any.

    Raises:
        ConfigError: it is taken, or the host is not this machine's.
    """
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
            return int(server.getsockname()[1])
    except OSError as error:
        key, remedy = (
            ("port", "choose another, or port=0") if error.errno == errno.EADDRINUSE else ("host", "give an address of this machine")
        )
        said = str(error.strerror).partition(" (")[0]
        raise ConfigError(key, f"cannot listen on {host}:{port} ({said})", remedy) from None


if __name__ == "__main__":
    main()
