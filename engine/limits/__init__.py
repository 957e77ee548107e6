"""Limits that hold across all workers: pure state machines, and the one Ray actor that shares them."""
