"""What the agent may call: one file per tool, the protocol they share, and the registry from config names."""
