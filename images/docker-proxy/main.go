// docker-proxy lets OpenClaw start sandboxes, and lets collectors ask what runs, without either holding the Docker socket.
//
// One port takes orders, each with the token; a container is made only from a body that the policy allows, written anew
// from what was understood of it. The other port answers questions to whoever is on its networks.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const (
	ordersAddress    = ":2375"
	questionsAddress = ":2376"
)

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	health := flag.Bool("health", false, "ask the running proxy whether it reaches Docker, and leave")
	directory := flag.String("configuration", "/etc/docker-proxy", "directory with policy.json and token")
	socket := flag.String("socket", "/var/run/docker.sock", "Docker's socket")
	only := flag.Bool("questions-only", false, "take no orders: no policy, no token, no sandboxes")
	flag.Parse()
	run := func() error { return serve(*directory, *socket, !*only) }
	if *health {
		run = healthy
	}
	if err := run(); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}

func serve(directory, socket string, takesOrders bool) error {
	engine := newEngine(socket)
	ports := map[string]http.Handler{questionsAddress: newQuestions(engine)}
	if takesOrders {
		policy, token, err := read(directory)
		if err != nil {
			return err
		}
		ports[ordersAddress] = newOrders(policy, engine, token)
	}
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ended := make(chan error, len(ports))
	for address, handler := range ports {
		listener, err := listen(address)
		if err != nil {
			return err
		}
		server := newServer(handler)
		if address == questionsAddress {
			// Nothing is streamed there; orders stream logs and programs, for whoever holds the token.
			server.ReadTimeout, server.WriteTimeout = headWithin, 30*time.Second
		}
		go func() { ended <- server.Serve(listener) }()
		slog.Info("listening", "address", address)
	}
	select {
	case err := <-ended:
		return err
	case <-stopped.Done():
		return nil
	}
}

func read(directory string) (Policy, string, error) {
	policy, err := readPolicy(directory + "/policy.json")
	if err != nil {
		return policy, "", err
	}
	text, err := os.ReadFile(directory + "/token")
	token := strings.TrimSpace(string(text))
	if err != nil || len(token) < 24 {
		return policy, "", fmt.Errorf("%s/token is missing or too short: anybody could start sandboxes; write at least 24 characters", directory)
	}
	return policy, token, nil
}

func healthy() error {
	client := http.Client{Timeout: 4 * time.Second}
	answer, err := client.Get("http://127.0.0.1" + questionsAddress + "/_ping")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New("Docker answered " + answer.Status)
	}
	return nil
}
