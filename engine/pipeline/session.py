"""The Ray session a run works in: the cluster it was submitted to, or a small local one on loopback."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from engine.config import PipelineConfig

QUIET_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing leaves the machine
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # a local Ray stays on 127.0.0.1
    "RAY_DEDUP_LOGS": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the warning about it is noise without accelerators
}


def in_ray_job() -> bool:
    """Whether this process is the driver of a submitted job (or was pointed at a cluster)."""
    return bool(os.environ.get("RAY_ADDRESS") or os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR"))


@contextmanager
def ray_session(config: PipelineConfig) -> Iterator[None]:
    """Be connected to Ray inside the block: an existing session, the job's cluster, or a local one that ends with it."""
    if ray.is_initialized():
        _quiet_data()
        yield
        return
    for name, value in QUIET_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if in_ray_job():
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
    else:
        _start_local(config)
    try:
        _quiet_data()
        yield
    finally:
        ray.shutdown()


def _start_local(config: PipelineConfig) -> None:
    token = Path(tempfile.gettempdir()) / f"hopforge-ray-token-{os.getuid()}"
    os.environ.setdefault("RAY_AUTH_TOKEN_PATH", str(_private_file(token)))
    ray.init(
        address="local",
        num_cpus=config.logical_cpus,
        include_dashboard=False,
        object_store_memory=config.object_store_mb * 1_000_000,
        logging_level=logging.ERROR,
        log_to_driver=False,
    )


def _private_file(path: Path) -> Path:
    path.touch(mode=0o600, exist_ok=True)
    return path


def _quiet_data() -> None:
    """Ray Data's own progress bars and plans are for its developers; ours are in `engine.telemetry`."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.verbose_progress = False
    context.print_on_execution_start = False
    for name in ("ray.data", "ray.data._internal.execution.streaming_executor"):
        logging.getLogger(name).setLevel(logging.ERROR)
