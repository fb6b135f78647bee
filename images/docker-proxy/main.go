// docker-proxy is a door to a Docker socket, of one of two kinds: collectors ask what runs on a host, and OpenClaw orders
// sandboxes of a Docker that is theirs alone (images/sandboxes).
//
// Questions are answered to whoever is on its networks. Orders want the token; a container is made only from a body that the
// policy allows, written anew from what was understood of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
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
	takesOrders := flag.Bool("orders", false, "take orders for sandboxes, by a policy and with a token, instead of questions")
	upstream := flag.String("names", "", "answer sandboxes of closed networks (NETWORK=RANGE ...) for names that this resolver knows")
	flag.Parse()
	run := func() error { return serveQuestions(*socket) }
	switch {
	case *health && *takesOrders:
		run = func() error { return healthyOrders(*directory) }
	case *health:
		run = func() error { return healthy(questionsAddress, "") }
	case *upstream != "":
		run = func() error { return serveNames(*upstream, flag.Args()) }
	case *takesOrders:
		run = func() error { return serveOrders(*directory, *socket) }
	}
	if err := run(); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}

func serveQuestions(socket string) error {
	server := newServer(newQuestions(newEngine(socket)))
	// Nothing is streamed there; orders stream logs and programs, for whoever holds the token.
	server.ReadTimeout, server.WriteTimeout = headWithin, 30*time.Second
	return serve(questionsAddress, server)
}

func serveOrders(directory, socket string) error {
	policy, token, err := read(directory)
	if err != nil {
		return err
	}
	engine := newEngine(socket)
	begin, stop := context.WithTimeout(context.Background(), readyWithin)
	defer stop()
	if err := policy.prepare(begin, engine); err != nil {
		return err
	}
	return serve(ordersAddress, newServer(newOrders(policy, engine, token)))
}

func serveNames(upstream string, networks []string) error {
	names, err := newNames(upstream, networks)
	if err != nil {
		return err
	}
	socket, err := net.ListenPacket("udp4", namesAddress)
	if err != nil {
		return err
	}
	return names.serve(socket)
}

func serve(address string, server *http.Server) error {
	listener, err := listen(address)
	if err != nil {
		return err
	}
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	slog.Info("listening", "address", address)
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

func healthyOrders(directory string) error {
	_, token, err := read(directory)
	if err != nil {
		return err
	}
	return healthy(ordersAddress, token)
}

func healthy(address, token string) error {
	client := http.Client{Timeout: 4 * time.Second}
	request, err := http.NewRequest(http.MethodGet, "http://127.0.0.1"+address+"/_ping", nil)
	if err != nil {
		return err
	}
	request.Header.Set(tokenHeader, token)
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New("Docker answered " + answer.Status)
	}
	return nil
}
