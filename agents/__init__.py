"""Questions → tool-using trajectories → curated training rows."""
