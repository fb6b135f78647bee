package main

import (
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
)

const serviceLabel = "vpai.service"

// listed is what Docker's GET /containers/json says of a container, as far as it matters here.
type listed struct {
	Labels map[string]string
	State  string
	Status string
}

// metrics answers with two numbers a service, in Prometheus' text format: does one of its containers run, is one healthy?
// One and not all: during a replacement the old and the new stand side by side.
func (engine *Engine) metrics(writer http.ResponseWriter, request *http.Request) error {
	var containers []listed
	if err := engine.read(request.Context(), "/containers/json?all=1", &containers); err != nil {
		return err
	}
	writer.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, err := io.WriteString(writer, states(containers))
	return err
}

// states is the text of metrics for these containers.
func states(containers []listed) string {
	running, healthy := map[string]int{}, map[string]int{}
	for _, container := range containers {
		service := container.Labels[serviceLabel]
		if service == "" {
			continue
		}
		running[service] = max(running[service], number(container.State == "running"))
		healthy[service] = max(healthy[service], number(strings.Contains(container.Status, "(healthy)")))
	}
	var text strings.Builder
	for _, metric := range []struct {
		name, help string
		values     map[string]int
	}{
		{"vpai_service_running", "Whether a container of the service runs.", running},
		{"vpai_service_healthy", "Whether a container of the service passes its healthcheck.", healthy},
	} {
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s gauge\n", metric.name, metric.help, metric.name)
		services := make([]string, 0, len(metric.values))
		for service := range metric.values {
			services = append(services, service)
		}
		sort.Strings(services)
		for _, service := range services {
			fmt.Fprintf(&text, "%s{service=%q} %d\n", metric.name, service, metric.values[service])
		}
	}
	return text.String()
}

func number(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
