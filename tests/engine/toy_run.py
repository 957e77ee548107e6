"""A driver to be killed and interrupted: `python -m tests.engine.toy_run FOLDER COUNT PAUSE`."""

from __future__ import annotations

import sys

from rich.console import Console

from engine.config import PipelineConfig, PoolConfig, RunConfig
from engine.errors import UserError
from engine.ledger import Ledger
from engine.pipeline.actor import StagePlan
from engine.pipeline.leg import LegSettings, run_leg
from engine.pipeline.session import ray_session
from engine.storage import Storage
from tests.engine.toy import Halve, Square, number


def main(folder: str, count: int, pause_s: float) -> None:
    pipeline = PipelineConfig(rows_per_block=8, rows_per_shard=4, logical_cpus=6, object_store_mb=200, report_every_s=0.2)
    pool = PoolConfig(num_cpus=0.2, in_flight=4, timeout_s=20)
    settings = LegSettings(RunConfig(), pipeline, Ledger(Storage(folder)), Console())
    plans = [StagePlan(Square(pause_s=pause_s, log=f"{folder}/log"), pool, None), StagePlan(Halve(), pool, "halves")]
    with ray_session(pipeline):
        result = run_leg([number(value) for value in range(1, count)], plans, settings)
    print("finished", result.counts["halve"].rows)


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
    except UserError as error:
        sys.exit(str(error))
