"""LiteLLM's hook: code of ours that runs inside LiteLLM, with Python, redis and LiteLLM alone (the image has no more)."""
