// webhook-gate stands between n8n and all who call its workflows: it checks the caller's signature over the bytes that came.
// What comes from the Internet it keeps on disk before it says so, and hands it on until n8n has taken it.
//
// Four ports: webhooks, calls of members, jobs (n8n offers one, the workstation fetches it) and numbers.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	webhooksAddress = ":8080"
	jobsAddress     = ":8081"
	numbersAddress  = ":8082"
	callsAddress    = ":8083"
	shortestSecret  = 8
	own             = "own"
)

// Endpoint is one path: who calls it, with what, and where it goes.
type Endpoint struct {
	Path     string `json:"path"`
	Provider string `json:"provider"` // github, meta, or own for calls of members
	// Events of GitHub (X-GitHub-Event) or fields of Meta (entry.changes.field; messages for entry.messaging).
	Events     []string `json:"events"`
	Object     string   `json:"object"` // of Meta, e.g. instagram
	LargestKiB int64    `json:"largest_kib"`
	To         string   `json:"to"`
}

// Configuration is gate.json; secrets lie beside it, one a file.
type Configuration struct {
	Endpoints []Endpoint `json:"endpoints"`
	// WindowHours is how long an event is remembered, and how old one may be: what is forgotten is too old to come again.
	WindowHours int `json:"window_hours"`
	MostQueued  int `json:"most_queued"`

	github, metaApp, metaVerify, calls, n8n, jobs string
}

var endpointPath = regexp.MustCompile(`^/webhook/[a-z0-9-]+$`)

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	health := flag.Bool("health", false, "ask the running gate, and leave")
	directory := flag.String("configuration", "/etc/webhook-gate", "directory with gate.json and the secrets")
	data := flag.String("data", "/data", "directory of the events that n8n has not taken yet, and of what was seen")
	flag.Parse()
	run := func() error { return serve(*directory, *data) }
	if *health {
		run = healthy
	}
	if err := run(); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}

func serve(directory, data string) error {
	configuration, err := read(directory)
	if err != nil {
		return err
	}
	queue, err := openQueue(data, configuration)
	if err != nil {
		return err
	}
	numbers := newNumbers(queue)
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	queue.deliver(stopped, newCourier(configuration, numbers))
	servers := map[string]http.Handler{
		webhooksAddress: newGate(configuration, queue, numbers),
		callsAddress:    newCalls(configuration, numbers),
		jobsAddress:     newJobs(configuration.jobs),
		numbersAddress:  numbers,
	}
	ended := make(chan error, len(servers))
	running := make([]*http.Server, 0, len(servers))
	for address, handler := range servers {
		listener, err := listen(address)
		if err != nil {
			return err
		}
		server := newServer(handler)
		// Longer than a worker waits for a job; a body has less (Bodies).
		server.ReadTimeout = askedFor + headWithin
		server.WriteTimeout = askedFor + 2*headWithin
		if address == callsAddress {
			server.WriteTimeout = answersWithin + 2*headWithin
		} else {
			// Whoever only waits, for a job or for somebody to take it, is let go at once.
			server.BaseContext = func(net.Listener) context.Context { return stopped }
		}
		running = append(running, server)
		go func() { ended <- server.Serve(listener) }()
		slog.Info("listening", "address", address)
	}
	select {
	case err := <-ended:
		return err
	case <-stopped.Done():
	}
	// What is being asked is still answered; what is queued lies on disk.
	patience, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	for _, server := range running {
		_ = server.Shutdown(patience)
	}
	return nil
}

func read(directory string) (*Configuration, error) {
	text, err := os.ReadFile(directory + "/gate.json")
	if err != nil {
		return nil, err
	}
	configuration := &Configuration{}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(configuration); err != nil {
		return nil, fmt.Errorf("%s/gate.json: %w", directory, err)
	}
	for name, into := range map[string]*string{
		"github-webhook-secret": &configuration.github,
		"meta-app-secret":       &configuration.metaApp,
		"meta-verify-token":     &configuration.metaVerify,
		"calls-secret":          &configuration.calls,
		"n8n-secret":            &configuration.n8n,
		"jobs-token":            &configuration.jobs,
	} {
		text, err := os.ReadFile(directory + "/" + name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		*into = strings.TrimSpace(string(text))
		if *into != "" && len(*into) < shortestSecret {
			return nil, fmt.Errorf("%s/%s is shorter than %d characters: whoever tries would find it", directory, name, shortestSecret)
		}
	}
	return configuration, configuration.check()
}

func (configuration *Configuration) check() error {
	if configuration.calls == "" || configuration.n8n == "" || configuration.jobs == "" {
		return errors.New("calls-secret, n8n-secret or jobs-token is missing: n8n could not tell the gate from anybody else")
	}
	if configuration.WindowHours < 1 || configuration.MostQueued < 1 {
		return errors.New("gate.json: window_hours and most_queued are at least 1")
	}
	for _, endpoint := range configuration.Endpoints {
		to, err := url.Parse(endpoint.To)
		switch {
		case !endpointPath.MatchString(endpoint.Path):
			return fmt.Errorf("gate.json: the path %q is not of the form /webhook/some-name", endpoint.Path)
		case !slices.Contains([]string{"github", "meta", own}, endpoint.Provider):
			return fmt.Errorf("gate.json: %s is of the provider %q, and the gate knows github, meta and own", endpoint.Path, endpoint.Provider)
		case err != nil || to.Host == "":
			return fmt.Errorf("gate.json: %s leads to %q, which is no address", endpoint.Path, endpoint.To)
		case endpoint.LargestKiB < 1 || (len(endpoint.Events) == 0) != (endpoint.Provider == own):
			return fmt.Errorf("gate.json: %s needs largest_kib, and events unless it is a call", endpoint.Path)
		}
	}
	return nil
}

func healthy() error {
	client := http.Client{Timeout: 4 * time.Second}
	answer, err := client.Get("http://127.0.0.1" + numbersAddress + "/health")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New("the gate answers " + answer.Status)
	}
	return nil
}
