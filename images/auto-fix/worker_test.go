package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// others is the gate with some jobs and GitHub with its pull requests, on one server.
type others struct {
	sync.Mutex
	offers   []string
	taken    int
	asked    []string
	pulls    []string
	comments []string
}

func (others *others) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	others.Lock()
	defer others.Unlock()
	body, _ := io.ReadAll(request.Body)
	if strings.HasPrefix(request.URL.Path, "/repos") {
		others.asked = append(others.asked, request.Method+" "+request.URL.Path)
	}
	switch path := request.Method + " " + request.URL.Path; {
	case request.Header.Get("Authorization") != "Bearer a-token-of-the-test":
		writer.WriteHeader(http.StatusUnauthorized)
	case path == "GET /jobs/next" && len(others.offers) == 0:
		writer.WriteHeader(http.StatusNoContent)
	case path == "GET /jobs/next":
		writer.Header().Set("X-Job", fmt.Sprint(len(others.offers)))
		_, _ = io.WriteString(writer, others.offers[0])
		others.offers = others.offers[1:]
	case strings.HasSuffix(path, "/taken"):
		others.taken++
	case path == "GET /repos/Mobutoo/VPAI/pulls":
		found := []string{}
		for _, pull := range others.pulls {
			if "Mobutoo:"+pull == request.URL.Query().Get("head") {
				found = append(found, `{"html_url":"there"}`)
			}
		}
		fmt.Fprintf(writer, "[%s]", strings.Join(found, ","))
	case path == "GET /repos/Mobutoo/VPAI":
		_, _ = io.WriteString(writer, `{"default_branch":"main"}`)
	case path == "POST /repos/Mobutoo/VPAI/pulls":
		var pull struct{ Head string }
		_ = json.Unmarshal(body, &pull)
		others.pulls = append(others.pulls, pull.Head)
		writer.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(writer, `{"html_url":"made"}`)
	case strings.HasSuffix(path, "/comments"):
		others.comments = append(others.comments, string(body))
		writer.WriteHeader(http.StatusCreated)
	default:
		writer.WriteHeader(http.StatusNotFound)
	}
}

func newBench(t *testing.T, script string) (*Worker, *others) {
	others := &others{}
	server := httptest.NewServer(others)
	t.Cleanup(server.Close)
	directory := t.TempDir()
	for name, text := range map[string]string{"jobs-token": "a-token-of-the-test\n", "github-token": "a-token-of-the-test", "job": "#!/bin/sh\n" + script} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	worker, err := newWorker(server.URL+"/jobs", server.URL, "Mobutoo/VPAI", directory, t.TempDir(), directory+"/job", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return worker, others
}

func (worker *Worker) once(t *testing.T) {
	t.Helper()
	job, found, err := worker.next(context.Background())
	if err != nil || !found {
		t.Fatalf("no job: %v", err)
	}
	worker.do(context.Background(), job)
}

const sound = `{"repository":"Mobutoo/VPAI","number":7,"title":"broken","body":"it is"}`

func TestAnIssueGetsOnePullRequestHoweverOftenItIsOffered(t *testing.T) {
	worker, others := newBench(t, `grep -q '"branch":"fix/GH-7"' && echo fixed`)
	others.offers = []string{sound, sound}
	worker.once(t)
	worker.once(t)
	if len(others.pulls) != 1 || others.pulls[0] != "fix/GH-7" || others.taken != 2 {
		t.Errorf("pulls %v, taken %d", others.pulls, others.taken)
	}
	if worker.outcomes["opened"] != 1 || worker.outcomes["already-there"] != 1 {
		t.Error(worker.outcomes)
	}
	if _, err := worker.kept(); err == nil {
		t.Error("the job is still there")
	}
}

func TestAnotherRepositoryIsRefusedWhateverWasOffered(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	worker, others := newBench(t, "touch "+ran)
	for _, repository := range []string{"Mobutoo/other", "Mobutoo/VPAI/../other", "", "mobutoo"} {
		others.offers = []string{fmt.Sprintf(`{"repository":%q,"number":7}`, repository)}
		worker.once(t)
	}
	// Not because GitHub knows no such repository: it is asked nothing at all.
	if len(others.asked) != 0 || worker.outcomes["failed"] != 4 {
		t.Error(others.asked, worker.outcomes)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("the program ran")
	}
}

func TestAProgramThatFailsOrHangsOpensNothingAndIsTold(t *testing.T) {
	for _, script := range []string{"exit 3", "sleep 30"} {
		worker, others := newBench(t, script)
		worker.patience = 500 * time.Millisecond
		others.offers = []string{sound}
		worker.once(t)
		if len(others.pulls) != 0 || len(others.comments) != 1 || worker.outcomes["failed"] != 1 {
			t.Errorf("%s: %v %v %v", script, others.pulls, others.comments, worker.outcomes)
		}
	}
}

func TestAJobInHandIsDoneAfterARestart(t *testing.T) {
	worker, others := newBench(t, "echo fixed")
	if err := os.WriteFile(worker.file(), []byte(sound), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go worker.loop(ctx)
	for range 50 {
		time.Sleep(100 * time.Millisecond)
		others.Lock()
		done := len(others.pulls) == 1
		others.Unlock()
		if done {
			cancel()
			return
		}
	}
	cancel()
	t.Error("nobody took it up again")
}

func TestWithoutATokenForGitHubNoJobIsTaken(t *testing.T) {
	worker, others := newBench(t, "echo fixed")
	worker.githubToken = ""
	others.offers = []string{sound}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	worker.loop(ctx)
	if others.taken != 0 || len(others.offers) != 1 {
		t.Error("a job was taken")
	}
}

func TestHealthIsThatItAsks(t *testing.T) {
	worker, _ := newBench(t, "")
	status := func() int {
		recorder := httptest.NewRecorder()
		worker.ServeHTTP(recorder, httptest.NewRequest("GET", "/health", nil))
		return recorder.Code
	}
	worker.note(false)
	if status() != 200 {
		t.Error("ill while it asks")
	}
	worker.asked = time.Now().Add(-2 * asksWithin)
	if status() != 503 {
		t.Error("well although it hangs")
	}
}

func TestRepositoriesAreNamed(t *testing.T) {
	for _, allowed := range []string{"", "VPAI", "a/b,", "a/b/c", "*"} {
		if _, err := newWorker("http://x/jobs", "http://x", allowed, t.TempDir(), "", "", time.Second); err == nil {
			t.Errorf("%q is taken", allowed)
		}
	}
}

func TestNothingIsLongerThanGitHubTakesNorCutWithinACharacter(t *testing.T) {
	for _, text := range []string{strings.Repeat("x", 300), strings.Repeat("🙂", 300), "x" + strings.Repeat("é", 100_000)} {
		cut := title(Job{Number: 7, Title: text})
		if units := len(utf16.Encode([]rune(cut))); units > 256 || units < 255 || !utf8.ValidString(cut) || !strings.HasPrefix(cut, "Fix #7: ") {
			t.Errorf("%d units: %q", units, cut)
		}
		if !utf8.ValidString(first(text)) || len(first(text)) > longestText || !utf8.ValidString(last(text)) {
			t.Errorf("%q", first(text))
		}
	}
}
