"""What a token is here: four characters. One rule for usage, cuts, stream chunks and log-probabilities keeps them consistent.

English text has about four characters per token with the tokenizers in use, so usage and cost have the right size.
"""

from __future__ import annotations

TOKEN_CHARS = 4


def count_tokens(text: str) -> int:
    """Tokens of a text; the last one may be short."""
    return -(-len(text) // TOKEN_CHARS)


def split_tokens(text: str) -> list[str]:
    """The tokens themselves; joined they are the text."""
    return [text[start : start + TOKEN_CHARS] for start in range(0, len(text), TOKEN_CHARS)]


def cut_tokens(text: str, limit: int) -> str:
    """The first `limit` tokens."""
    return text[: limit * TOKEN_CHARS]
