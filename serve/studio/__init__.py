"""The studio: graph, question, proof, trajectory, run and score, to look at in a browser."""
