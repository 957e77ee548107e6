"""A driver on a cluster of three nodes, one of which is killed in mid-run: `python -m tests.engine.cluster_run FOLDER`."""

from __future__ import annotations

import os
import secrets
import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster
from rich.console import Console

from engine.config import PipelineConfig, PoolConfig, RunConfig
from engine.ledger import Ledger
from engine.pipeline.actor import StagePlan
from engine.pipeline.leg import LegSettings, run_leg
from engine.pipeline.session import QUIET_ENVIRONMENT, ray_session
from engine.storage import Storage
from tests.engine.toy import Halve, Square, number

NODE = {"num_cpus": 3, "object_store_memory": 100_000_000}
COUNT = 160


def main(folder: Path) -> None:
    os.environ.update(QUIET_ENVIRONMENT, RAY_AUTH_TOKEN=secrets.token_hex(32))
    cluster = Cluster(initialize_head=True, connect=False, head_node_args=NODE)
    doomed = cluster.add_node(**NODE)
    cluster.add_node(**NODE)
    ray.init(address=cluster.address, log_to_driver=False)

    def kill_when_moving() -> None:
        while len(list((folder / "ledger").glob("square-*.json"))) < 4:
            time.sleep(0.1)
        cluster.remove_node(doomed, allow_graceful=False)
        print("node killed", flush=True)

    threading.Thread(target=kill_when_moving, daemon=True).start()
    pipeline = PipelineConfig(rows_per_block=8, rows_per_shard=4, report_every_s=1.0)
    settings = LegSettings(RunConfig(), pipeline, Ledger(Storage(str(folder))), Console())
    pool = PoolConfig(actors=3, num_cpus=0.7, in_flight=4, timeout_s=8)
    plans = [StagePlan(Square(pause_s=0.4), pool, None), StagePlan(Halve(), pool, "halves")]
    with ray_session(pipeline):
        result = run_leg([number(value) for value in range(1, COUNT)], plans, settings)
    alive = sum(node["Alive"] for node in ray.nodes())
    print("finished", result.counts["halve"].rows, "rows on", alive, "nodes", flush=True)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
