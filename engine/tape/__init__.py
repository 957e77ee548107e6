"""Record and replay of every effect that costs money or can change: model replies, searches, page reads."""
