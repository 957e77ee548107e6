"""What the engine costs and how near it comes to a limit measured in the same run: `python -m scripts.bench`."""
