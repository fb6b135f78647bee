package main

import (
	"strings"
	"testing"
)

func TestStatesOfServices(t *testing.T) {
	of := func(service, state, status string) listed {
		return listed{Labels: map[string]string{serviceLabel: service}, State: state, Status: status}
	}
	text := states([]listed{
		of("redis", "running", "Up 3 minutes (healthy)"),
		of("n8n", "running", "Up 3 minutes (unhealthy)"),
		of("loki", "exited", "Exited (1) 2 minutes ago"),
		of("litellm", "running", "Up 5 seconds (health: starting)"),
		of("litellm", "running", "Up 3 hours (healthy)"),
		{State: "running", Status: "Up 3 hours (healthy)"},
	})
	for _, line := range []string{
		`vpai_service_running{service="redis"} 1`, `vpai_service_healthy{service="redis"} 1`,
		`vpai_service_running{service="n8n"} 1`, `vpai_service_healthy{service="n8n"} 0`,
		`vpai_service_running{service="loki"} 0`, `vpai_service_healthy{service="loki"} 0`,
		`vpai_service_healthy{service="litellm"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in:\n%s", line, text)
		}
	}
	if strings.Contains(text, `service=""`) {
		t.Errorf("a container that is not ours is counted:\n%s", text)
	}
}
