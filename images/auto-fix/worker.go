package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
)

// Job is what n8n offers: an issue of a repository.
type Job struct {
	Repository string `json:"repository"`
	Number     int    `json:"number"`
	Title      string `json:"title"`
	Body       string `json:"body"`
}

// Worker does one job after another.
type Worker struct {
	jobs, github, jobsToken, githubToken string
	repositories                         map[string]bool
	work, program                        string
	patience                             time.Duration
	client                               *http.Client

	mutex    sync.Mutex
	asked    time.Time
	busy     bool
	outcomes map[string]int
}

const (
	pauseAfterFailure = 10 * time.Second
	longestAnswer     = 1 << 20
	longestText       = 60_000 // GitHub takes 65536 characters; these are bytes.
	longestTitle      = 256
)

func (job Job) branch() string { return fmt.Sprintf("fix/GH-%d", job.Number) }

// check refuses what is not ours to change, whatever n8n said.
func (worker *Worker) check(job Job) error {
	if !worker.repositories[strings.ToLower(job.Repository)] {
		return fmt.Errorf("the repository %q is none of those that may be changed", job.Repository)
	}
	if job.Number < 1 {
		return errors.New("the job names no issue")
	}
	return nil
}

func (worker *Worker) loop(ctx context.Context) {
	if worker.githubToken == "" {
		// No job is taken that could not be finished: n8n is told that nobody asks.
		slog.Warn("off: github-token is empty")
		for ; ctx.Err() == nil; worker.note(false) {
			select {
			case <-ctx.Done():
			case <-time.After(pauseAfterFailure):
			}
		}
		return
	}
	// A job that was taken is done, also after a restart.
	if job, err := worker.kept(); err == nil {
		worker.do(ctx, job)
	}
	for ctx.Err() == nil {
		worker.note(false)
		job, found, err := worker.next(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			slog.Warn("no answer from the gate", "why", err.Error())
			worker.count("unanswered")
			select {
			case <-ctx.Done():
			case <-time.After(pauseAfterFailure):
			}
		case found:
			worker.do(ctx, job)
		}
	}
}

// next asks for a job, writes it down and then says that it is taken.
func (worker *Worker) next(ctx context.Context) (Job, bool, error) {
	var job Job
	status, text, header, err := worker.ask(ctx, http.MethodGet, worker.jobs+"/next", worker.jobsToken, nil)
	if err != nil || status == http.StatusNoContent {
		return job, false, err
	}
	if status != http.StatusOK {
		return job, false, fmt.Errorf("the gate answers %d: %s", status, text)
	}
	if err := json.Unmarshal(text, &job); err != nil {
		return job, false, err
	}
	if err := os.WriteFile(worker.file(), text, 0o600); err != nil {
		return job, false, err
	}
	status, text, _, err = worker.ask(ctx, http.MethodPost, worker.jobs+"/"+url.PathEscape(header.Get("X-Job"))+"/taken", worker.jobsToken, nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the gate answers %d to a job that was taken: %s", status, text)
	}
	if err != nil {
		return job, false, errors.Join(err, os.Remove(worker.file()))
	}
	return job, true, nil
}

func (worker *Worker) file() string { return filepath.Join(worker.work, "job.json") }

func (worker *Worker) kept() (Job, error) {
	var job Job
	text, err := os.ReadFile(worker.file())
	if err == nil {
		err = json.Unmarshal(text, &job)
	}
	return job, err
}

func (worker *Worker) do(ctx context.Context, job Job) {
	worker.note(true)
	log := slog.With("repository", job.Repository, "issue", job.Number)
	outcome, err := worker.fix(ctx, job)
	if ctx.Err() != nil {
		return // Taken up again at the next start.
	}
	if err != nil {
		outcome = "failed"
		log.Error("failed", "why", err.Error())
	} else {
		log.Info(outcome)
	}
	worker.count(outcome)
	if err := os.Remove(worker.file()); err != nil {
		log.Error(err.Error())
	}
}

// fix lets the program write the branch and opens the pull request, unless there is one.
func (worker *Worker) fix(ctx context.Context, job Job) (string, error) {
	if err := worker.check(job); err != nil {
		return "", err
	}
	owner, _, _ := strings.Cut(job.Repository, "/")
	var pulls []struct {
		URL string `json:"html_url"`
	}
	// Open, closed or merged: an issue is tried once, another attempt is another issue.
	question := "/pulls?state=all&head=" + url.QueryEscape(owner+":"+job.branch())
	if err := worker.api(ctx, http.MethodGet, job, question, nil, &pulls); err != nil {
		return "", err
	}
	if len(pulls) > 0 {
		return "already-there", nil
	}
	var repository struct {
		Branch string `json:"default_branch"`
	}
	if err := worker.api(ctx, http.MethodGet, job, "", nil, &repository); err != nil {
		return "", err
	}
	told, err := worker.run(ctx, job, repository.Branch)
	if err != nil {
		return "", errors.Join(err, worker.comment(ctx, job, "The automatic fix failed; its log is on the workstation."))
	}
	var made struct {
		URL string `json:"html_url"`
	}
	err = worker.api(ctx, http.MethodPost, job, "/pulls", map[string]any{
		"title": title(job), "head": job.branch(), "base": repository.Branch,
		"body": fmt.Sprintf("%s\n\nFixes #%d. Written by a program: review it as you would a stranger's.", told, job.Number),
	}, &made)
	if err != nil {
		return "", err
	}
	return "opened", worker.comment(ctx, job, "A fix is proposed: "+made.URL)
}

// run starts the program with the job on its standard input; what it prints is the pull request's text.
func (worker *Worker) run(ctx context.Context, job Job, base string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, worker.patience)
	defer cancel()
	directory, err := os.MkdirTemp(worker.work, "checkout-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(directory)
	input, err := json.Marshal(map[string]any{
		"repository": job.Repository, "number": job.Number, "title": job.Title, "body": job.Body,
		"branch": job.branch(), "base": base, "github": worker.github,
	})
	if err != nil {
		return "", err
	}
	var output, errorOutput bytes.Buffer
	command := exec.CommandContext(ctx, worker.program)
	command.Dir, command.Stdin, command.Stdout, command.Stderr = directory, bytes.NewReader(input), &output, &errorOutput
	command.Env = append(os.Environ(), "HOME="+directory)
	command.WaitDelay = 5 * time.Second
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", worker.program, err, last(errorOutput.String()))
	}
	return first(strings.TrimSpace(output.String())), nil
}

func (worker *Worker) comment(ctx context.Context, job Job, text string) error {
	return worker.api(ctx, http.MethodPost, job, fmt.Sprintf("/issues/%d/comments", job.Number), map[string]any{"body": text}, nil)
}

func (worker *Worker) api(ctx context.Context, method string, job Job, path string, body any, into any) error {
	status, text, _, err := worker.ask(ctx, method, worker.github+"/repos/"+job.Repository+path, worker.githubToken, body)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		return fmt.Errorf("GitHub answers %d to %s /repos/%s%s: %s", status, method, job.Repository, path, first(string(text)))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

func (worker *Worker) ask(ctx context.Context, method, address, token string, body any) (int, []byte, http.Header, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return 0, nil, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "vpai-auto-fix")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := worker.client.Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, longestAnswer))
	return answer.StatusCode, text, answer.Header, err
}

// title is that of the pull request: an issue's own may be as long as a title may be, in UTF-16 units at the most cautious.
func title(job Job) string {
	text := fmt.Sprintf("Fix #%d: %s", job.Number, job.Title)
	units := 0
	for index, character := range text {
		if units += utf16.RuneLen(character); units > longestTitle {
			return text[:index]
		}
	}
	return text
}

// first is the beginning of a text that is too long, no character cut in two.
func first(text string) string {
	if len(text) <= longestText {
		return text
	}
	return strings.ToValidUTF8(text[:longestText], "")
}

func last(text string) string {
	text = strings.TrimSpace(text)
	return strings.ToValidUTF8(text[max(0, len(text)-2000):], "")
}

func (worker *Worker) note(busy bool) {
	worker.mutex.Lock()
	defer worker.mutex.Unlock()
	worker.asked, worker.busy = time.Now(), busy
}

func (worker *Worker) isBusy() bool {
	worker.mutex.Lock()
	defer worker.mutex.Unlock()
	return worker.busy
}

func (worker *Worker) count(outcome string) {
	worker.mutex.Lock()
	defer worker.mutex.Unlock()
	worker.outcomes[outcome]++
}

// ServeHTTP answers health and metrics.
func (worker *Worker) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	worker.mutex.Lock()
	defer worker.mutex.Unlock()
	limit := asksWithin
	if worker.busy {
		limit = worker.patience + asksWithin
	}
	switch request.URL.Path {
	case "/health":
		if time.Since(worker.asked) > limit {
			http.Error(writer, "has not asked for a job for too long", http.StatusServiceUnavailable)
		}
	case "/metrics":
		writer.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		busy := map[bool]int{true: 1}[worker.busy]
		fmt.Fprintf(writer, "# HELP auto_fix_busy Whether a job is in hand.\n# TYPE auto_fix_busy gauge\nauto_fix_busy %d\n", busy)
		fmt.Fprint(writer, "# HELP auto_fix_jobs_total How jobs ended; unanswered: the gate could not be asked for one.\n# TYPE auto_fix_jobs_total counter\n")
		names := make([]string, 0, len(worker.outcomes))
		for name := range worker.outcomes {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			fmt.Fprintf(writer, "auto_fix_jobs_total{outcome=%q} %d\n", name, worker.outcomes[name])
		}
	default:
		http.NotFound(writer, request)
	}
}
