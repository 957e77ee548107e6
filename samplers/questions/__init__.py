"""Subgraph → proved question: queries, proofs, obfuscation, words."""
