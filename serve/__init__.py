"""Checkpoints → endpoint → scores: reserved for serving; holds no code yet."""
