"""Stand-ins of what the fleet talks to outside: model providers, Telegram, Hetzner, OVH, GitHub."""
