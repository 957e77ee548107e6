"""Tests of the room `scripts`."""
