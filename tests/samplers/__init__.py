"""Tests of the room `samplers`."""
