"""Who plays the agent: the scripted policy that walks a proof, and the policy that asks a model."""
