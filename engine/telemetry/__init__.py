"""What a run shows while it works: counts per stage from all actors, a live table or plain lines, metrics for dashboards."""
