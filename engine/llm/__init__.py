"""The one seam for models: the OpenAI chat-completions protocol."""
