"""An OpenAI-compatible server without a model: rehearse a run, its limits and its mishaps before you pay for it."""

from engine.llm.simulator.config import SimulatorConfig
from engine.llm.simulator.server import Simulator, serve_simulator

__all__ = ["Simulator", "SimulatorConfig", "serve_simulator"]
