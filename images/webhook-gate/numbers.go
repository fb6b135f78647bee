package main

import (
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"sync"
)

// Numbers is the port of metrics and health.
type Numbers struct {
	queue *Queue

	mutex    sync.Mutex
	counters map[string]map[string]int
}

var helps = map[string]string{
	"webhook_gate_accepted_total":          "Requests that passed, by what they were.",
	"webhook_gate_refused_total":           "Requests that did not pass, by the reason.",
	"webhook_gate_delivered_total":         "Events that n8n has taken.",
	"webhook_gate_failed_deliveries_total": "Attempts that n8n did not take.",
}

func newNumbers(queue *Queue) *Numbers {
	return &Numbers{queue: queue, counters: map[string]map[string]int{}}
}

func (numbers *Numbers) accepted(path, kind string) {
	numbers.count("webhook_gate_accepted_total", fmt.Sprintf("path=%q,kind=%q", path, kind))
}

func (numbers *Numbers) refused(path, reason string) {
	numbers.count("webhook_gate_refused_total", fmt.Sprintf("path=%q,reason=%q", path, reason))
}

func (numbers *Numbers) delivered(path string) {
	numbers.count("webhook_gate_delivered_total", fmt.Sprintf("path=%q", path))
}

func (numbers *Numbers) failed(path string) {
	numbers.count("webhook_gate_failed_deliveries_total", fmt.Sprintf("path=%q", path))
}

func (numbers *Numbers) count(name, labels string) {
	numbers.mutex.Lock()
	defer numbers.mutex.Unlock()
	if numbers.counters[name] == nil {
		numbers.counters[name] = map[string]int{}
	}
	numbers.counters[name][labels]++
}

func (numbers *Numbers) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	switch request.URL.Path {
	case "/health":
		_, _ = io.WriteString(writer, "OK\n")
	case "/metrics":
		writer.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = io.WriteString(writer, numbers.text())
	default:
		http.NotFound(writer, request)
	}
}

func (numbers *Numbers) text() string {
	var text strings.Builder
	queued, gaveUp, seen := numbers.queue.counts()
	for _, gauge := range []struct {
		name, help string
		value      int
	}{
		{"webhook_gate_queued", "Events that n8n has not taken yet.", queued},
		{"webhook_gate_given_up", "Events that n8n refused for good, or did not take within a day; they lie below given-up.", gaveUp},
		{"webhook_gate_remembered", "Keys by which a replay would be known.", seen},
	} {
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s gauge\n%s %d\n", gauge.name, gauge.help, gauge.name, gauge.name, gauge.value)
	}
	numbers.mutex.Lock()
	defer numbers.mutex.Unlock()
	for _, name := range sorted(helps) {
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s counter\n", name, helps[name], name)
		for _, labels := range sorted(numbers.counters[name]) {
			fmt.Fprintf(&text, "%s{%s} %d\n", name, labels, numbers.counters[name][labels])
		}
	}
	return text.String()
}

func sorted[Value any](from map[string]Value) []string {
	names := make([]string, 0, len(from))
	for name := range from {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
