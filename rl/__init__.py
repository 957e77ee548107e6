"""Rows → checkpoints: reserved for training; holds no code yet."""
