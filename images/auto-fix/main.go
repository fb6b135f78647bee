// auto-fix fetches jobs from the webhook gate, one at a time: a program writes a branch that fixes an issue, and this opens
// the pull request. It listens to nobody but its own host's collector; nothing reaches the workstation from outside.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
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
	provider := flag.String("model", "https://api.anthropic.com", "address of the model's provider; its key is anthropic-api-key")
	workerUser := flag.String("worker-user", "", "uid:gid of the part that holds the tokens")
	toolUser := flag.String("tool-user", "", "uid:gid of the part that edits")
	tool := flag.String("tool", "/opt/auto-fix/tool", "what edits a checkout")
	part := flag.String("part", "", "run as one part, worker or tool, until the input ends; else start both as their users")
	checkout := flag.String("edit", "", "let the tool at this checkout, with the instructions on the input")
	flag.Parse()
	run := func() error { return apart(os.Args[1:], *workerUser, *toolUser) }
	switch {
	case *health:
		run = healthy
	case *checkout != "":
		run = func() error {
			// What it prints is the pull request's text.
			slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
			said, err := edit(editSocket, *checkout, os.Stdin)
			fmt.Println(said)
			return err
		}
	case *part == asTool:
		run = func() error {
			ctx, stop := whileStarted()
			defer stop()
			listener, err := net.FileListener(os.NewFile(3, editSocket))
			if err != nil {
				return err
			}
			return serveEdits(ctx, listener, *tool, *patience)
		}
	case *part == asWorker:
		run = func() error {
			worker, err := newWorker(*jobs, *github, *allowed, *directory, *work, *program, *patience)
			if err != nil {
				return err
			}
			key, err := os.ReadFile(*directory + "/anthropic-api-key")
			if err != nil {
				return err
			}
			model, err := newModel(*provider, strings.TrimSpace(string(key)), worker.isBusy)
			if err != nil {
				return err
			}
			return serve(worker, model)
		}
	}
	if err := run(); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}

func newWorker(jobs, github, allowed, directory, work, program string, patience time.Duration) (*Worker, error) {
	worker := &Worker{
		jobs: jobs, github: github, repositories: map[string]bool{}, work: work, program: program, patience: patience,
		outcomes: map[string]int{},
		// A token is shown to whom it was given for, not to whom that one points.
		client: &http.Client{
			Timeout:       60 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
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

func serve(worker *Worker, model http.Handler) error {
	stopped, stop := whileStarted()
	defer stop()
	ended := make(chan error, 2)
	for address, handler := range map[string]http.Handler{numbersAddress: worker, modelAddress: model} {
		listener, err := listen(address)
		if err != nil {
			return err
		}
		server := newServer(handler)
		if address == numbersAddress {
			server.ReadTimeout, server.WriteTimeout = headWithin, 2*headWithin
		}
		go func() { ended <- server.Serve(listener) }()
	}
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
