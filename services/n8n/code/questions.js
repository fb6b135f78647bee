// One question for each service that a workflow asks, at a path that costs nothing and needs no key.
return [
	{ json: { service: 'LiteLLM', url: `${$env.LITELLM_BASE_URL.replace(/\/v1$/, '')}/health/liveliness` } },
	{ json: { service: 'OpenClaw', url: $env.OPENCLAW_GATEWAY_URL } },
	{ json: { service: 'NocoDB', url: `${$env.NOCODB_BASE_URL}/api/v1/health` } },
];
