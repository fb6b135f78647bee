// auto-fix fetches jobs from the webhook gate, one at a time: a program writes a branch that mends an issue, and this opens
// the pull request. It listens to nobody but its own host's collector; nothing reaches the workstation from outside.
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
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	numbersAddress = ":8083"
	// The gate answers within 25 s; who has not come round for longer than that hangs.
	asksWithin = 90 * time.Second
)

var repositoryName = regexp.MustCompile(`^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$`)

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	health := flag.Bool("health", false, "ask the running worker, and leave")
	jobs := flag.String("jobs", "", "address of the gate's jobs, e.g. https://fix.example.org/jobs")
	github := flag.String("github", "https://api.github.com", "address of GitHub's API")
	allowed := flag.String("repositories", "", "the repositories that may be changed, separated by commas")
	directory := flag.String("configuration", "/etc/auto-fix", "directory with jobs-token and github-token")
	work := flag.String("work", "/work", "directory of the job in hand")
	program := flag.String("program", "/opt/auto-fix/job", "what writes the branch")
	patience := flag.Duration("patience", 15*time.Minute, "after how long a job is ended")
	flag.Parse()
	run := func() error {
		worker, err := newWorker(*jobs, *github, *allowed, *directory, *work, *program, *patience)
		if err != nil {
			return err
		}
		return serve(worker)
	}
	if *health {
		run = healthy
	}
	if err := run(); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}

func newWorker(jobs, github, allowed, directory, work, program string, patience time.Duration) (*Worker, error) {
	worker := &Worker{
		jobs: jobs, github: github, repositories: map[string]bool{}, work: work, program: program, patience: patience,
		client: &http.Client{Timeout: 60 * time.Second}, outcomes: map[string]int{},
	}
	for _, name := range strings.Split(allowed, ",") {
		if !repositoryName.MatchString(name) {
			return nil, fmt.Errorf("-repositories has %q: write owner/name, several with commas between them", name)
		}
		worker.repositories[strings.ToLower(name)] = true
	}
	for name, into := range map[string]*string{"jobs-token": &worker.jobsToken, "github-token": &worker.githubToken} {
		text, err := os.ReadFile(directory + "/" + name)
		if err != nil {
			return nil, err
		}
		*into = strings.TrimSpace(string(text))
	}
	if worker.jobsToken == "" || jobs == "" {
		return nil, errors.New("-jobs or jobs-token is empty: there is nobody to ask for a job")
	}
	return worker, nil
}

func serve(worker *Worker) error {
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ended := make(chan error, 1)
	server := &http.Server{Addr: numbersAddress, Handler: worker, ReadHeaderTimeout: 10 * time.Second}
	go func() { ended <- server.ListenAndServe() }()
	go worker.loop(stopped)
	select {
	case err := <-ended:
		return err
	case <-stopped.Done():
		return nil
	}
}

func healthy() error {
	client := http.Client{Timeout: 4 * time.Second}
	answer, err := client.Get("http://127.0.0.1" + numbersAddress + "/health")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New("the worker answers " + answer.Status)
	}
	return nil
}
