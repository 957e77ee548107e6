"""Runs any row-to-row stage at scale, loses nothing, pays for nothing twice. Knows no graph and no medicine."""
