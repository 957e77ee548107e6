"""Trajectories → training rows: named filters, token counts, duplicates, exports and the dataset card."""
