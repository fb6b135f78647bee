package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const largest = 640 // As services/webhook_gate.py has it.

// sieged are the gate's ports, and one that stands where Caddy does: all that comes through it comes from one address.
func sieged() []*http.Server {
	settings := configuration("http://127.0.0.1:1")
	settings.MostQueued = 100_000
	for index := range settings.Endpoints {
		settings.Endpoints[index].LargestKiB = largest
	}
	directory := ""
	if os.Getenv("VPAI_SIEGED") != "" {
		var err error
		if directory, err = os.MkdirTemp("", "siege"); err != nil {
			panic(err)
		}
	}
	queue := &Queue{}
	to := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	if directory != "" {
		var err error
		if queue, err = openQueue(directory, settings); err != nil {
			panic(err)
		}
		go func() {
			for range queue.added { // n8n takes all.
			}
		}()
		listener, err := listen("127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		to.Host = listener.Addr().String()
		go newServer(newGate(settings, queue, newNumbers(queue))).Serve(listener)
	}
	caddy := httputil.NewSingleHostReverseProxy(to)
	caddy.Transport = &http.Transport{MaxIdleConnsPerHost: 32}
	return []*http.Server{
		newServer(newGate(settings, queue, newNumbers(queue))), newServer(newJobs("jobs-token-of-the-test")), newServer(newNumbers(queue)),
		newServer(caddy), newServer(newCalls(settings, newNumbers(queue))),
	}
}

func TestTenThousandStrangersKeepNoEventOut(t *testing.T) {
	const post = "POST /webhook/github-autofix HTTP/1.1\r\nHost: x\r\n"
	shaped := post + "X-Hub-Signature-256: sha256=" + strings.Repeat("0", 64) + "\r\n"
	almost := fmt.Sprintf("%sContent-Length: %d\r\n\r\n", shaped, largest<<10)
	number := atomic.Int64{}
	besiege(t, 64, []stranger{
		{0, saying(post[:30])},
		{0, without(almost, largest<<10-1)},
		{0, without(almost, largest<<10)},
		{0, without(shaped+"Transfer-Encoding: chunked\r\n\r\n100000\r\n", 1<<20-1)},
		{0, without(post+"Content-Length: 1000000\r\n\r\n", 999_999)},
		{0, without(post+"A: ", 2_000_000)},
		{1, without("POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n", 499_999)},
		{2, without("GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n", 1_000_000)},
		{3, without(almost, largest<<10-1)},
		{3, without(almost, 1)},
		{4, without(strings.NewReplacer("github-autofix", "summarize", "X-Hub-", "X-").Replace(almost), largest<<10-1)},
		{4, without("POST /webhook/summarize HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", 999_999)},
	}, func(client *http.Client, ports []string) error {
		for _, port := range []string{ports[0], ports[3]} {
			body := issue(time.Now(), strings.Repeat("an honest issue ", 4000))
			body = body[:len(body)-1] + fmt.Sprintf(`,"number":%d}`, number.Add(1))
			request, _ := http.NewRequest(http.MethodPost, "http://"+port+"/webhook/github-autofix", strings.NewReader(body))
			request.Header.Set("X-GitHub-Event", "issues")
			request.Header.Set("X-GitHub-Delivery", fmt.Sprintf("11111111-%d", number.Load()))
			request.Header.Set("X-Hub-Signature-256", signature(githubSecret, []byte(body)))
			answer, err := client.Do(request)
			if err != nil {
				return err
			}
			text, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if answer.StatusCode != http.StatusAccepted {
				return fmt.Errorf("%s: %s %s", port, answer.Status, text)
			}
		}
		return nil
	})
}

// A body that is held back, in all the forms that used to be read whole before anybody asked for a signature (V5).
func TestWhoShowsNoSignatureIsReadNoByteOf(t *testing.T) {
	bench := newBench(t, t.TempDir(), configuration(""))
	for _, given := range []string{"", "sha256=", "sha256=" + strings.Repeat("z", 64), "sha256=" + strings.Repeat("A", 64), "sha1=" + strings.Repeat("0", 40)} {
		read := &counted{}
		request := httptest.NewRequest("POST", "/webhook/github-autofix", read)
		request.Header.Set("X-Hub-Signature-256", given)
		recorder := httptest.NewRecorder()
		bench.gate.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusUnauthorized || read.bytes != 0 {
			t.Errorf("%q: %d after %d bytes", given, recorder.Code, read.bytes)
		}
	}
	read := &counted{}
	request := httptest.NewRequest("POST", "/webhook/github-autofix", read)
	request.Header.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
	request.ContentLength = 65<<10 + 1
	recorder := httptest.NewRecorder()
	bench.gate.ServeHTTP(recorder, request)
	if recorder.Code != http.StatusRequestEntityTooLarge || read.bytes != 0 {
		t.Errorf("too large by its own word: %d after %d bytes", recorder.Code, read.bytes)
	}
}

type counted struct{ bytes int }

func (counted *counted) Read(into []byte) (int, error) {
	counted.bytes += len(into)
	return 0, errors.New("somebody reads")
}

// Who takes a job as its time runs out has taken it: n8n is not told to offer it again.
func TestAJobThatWasTakenIsNeverOfferedAgain(t *testing.T) {
	for range 50 {
		jobs := &Jobs{token: "x", offer: make(chan offered), taken: map[string]chan struct{}{}}
		ctx, cancel := context.WithCancel(context.Background())
		recorder, done := httptest.NewRecorder(), make(chan struct{})
		go func() {
			defer close(done)
			jobs.propose(recorder, httptest.NewRequest("POST", "/jobs", strings.NewReader("{}")).WithContext(ctx))
		}()
		job := <-jobs.offer
		cancel()
		request := httptest.NewRequest("POST", "/jobs/x/taken", nil)
		request.SetPathValue("id", job.id)
		worker := httptest.NewRecorder()
		jobs.take(worker, request)
		<-done
		if (worker.Code == http.StatusOK) != (recorder.Code == http.StatusAccepted) {
			t.Fatalf("the worker was answered %d, and n8n %d", worker.Code, recorder.Code)
		}
	}
}

var seeds = []string{
	`{"action":"labeled","issue":{"title":"x","updated_at":"2026-11-29T12:00:00Z"}}`, `{"issue":null}`, `{"issue":{"updated_at":"0001-01-01T00:00:00Z"}}`,
	`{"object":"instagram","entry":[{"id":"1","time":1795000000,"changes":[{"field":"comments"}]}]}`, `{"object":"instagram","entry":[{"time":-9223372036854775808}]}`,
	`{"object":"instagram","entry":[{"time":1795000000000,"messaging":[{}]}]}`, `[]`, `payload=%7B%7D`, "\xff\xfe", `{"entry":[{"changes":[]}]}`,
	`{"object":"instagram","entry":[]}`,
	// As young as an event that is taken: all that keeps it out is what is tried.
	fmt.Sprintf(`{"action":"labeled","issue":{"title":"x","updated_at":%q}}`, time.Now().UTC().Format(time.RFC3339)),
	fmt.Sprintf(`{"object":"instagram","entry":[{"id":"1","time":%d,"changes":[{"field":"comments"}]}]}`, time.Now().Unix()),
}

// FuzzEvents gives the two parsers bodies of every form; what passes is young enough, of an allowed kind, and has a key.
func FuzzEvents(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed), "issues", "11111111-1")
	}
	settings := configuration("")
	now, window := time.Unix(1795000000, 0), 72*time.Hour
	f.Fuzz(func(t *testing.T, body []byte, event, id string) {
		request := httptest.NewRequest("POST", "/x", nil)
		request.Header.Set("X-GitHub-Event", event)
		request.Header.Set("X-GitHub-Delivery", id)
		for _, endpoint := range settings.Endpoints {
			check := github
			if endpoint.Provider == "meta" {
				check = meta
			}
			passed, refusal := check(endpoint, request, body, now, window)
			switch {
			case refusal != nil && (refusal.status < 400 || refusal.status > 499 || refusal.why == "" || len(passed.keys) > 0):
				t.Fatalf("%+v %+v", passed, refusal)
			case refusal == nil && passed.greeting != (endpoint.Provider == "github" && event == "ping"):
				t.Fatal("a greeting")
			case refusal == nil && !passed.greeting && len(passed.keys) == 0:
				t.Fatal("an event without a key may come again")
			case refusal == nil && !passed.greeting:
				if _, refusal := check(endpoint, request, body, now.Add(100*window), window); refusal == nil {
					t.Fatal("it is taken years later, when nobody knows any more that it came before")
				}
			}
			for _, key := range passed.keys {
				if len(key) != 64 || strings.ContainsAny(key, "/.") {
					t.Fatalf("the key %q is a file's name", key)
				}
			}
		}
	})
}

// FuzzRequests sends whole requests of every form to the gate: none is kept, none answered with a success, none crashes.
func FuzzRequests(f *testing.F) {
	for _, seed := range seeds {
		for _, target := range []string{"/webhook/github-autofix", "/webhook/ig-comment"} {
			f.Add("POST", target, "sha256="+strings.Repeat("0", 64), seed)
		}
	}
	f.Add("GET", "/webhook/ig-comment?hub.mode=subscribe&hub.verify_token=x&hub.challenge=<script>", "", "")
	f.Add("POST", "/webhook//github-autofix/../ig-comment", "sha256=", "{}")
	queue, err := openQueue(f.TempDir(), configuration(""))
	if err != nil {
		f.Fatal(err)
	}
	gate := newGate(configuration(""), queue, newNumbers(queue))
	f.Fuzz(func(t *testing.T, method, target, signed, body string) {
		request, err := http.NewRequest(method, "http://x", strings.NewReader(body))
		if err != nil {
			return
		}
		if request.URL, err = url.ParseRequestURI(target); err != nil {
			return
		}
		request.Header.Set("X-Hub-Signature-256", signed)
		request.Header.Set("X-GitHub-Event", "issues")
		request.Header.Set("X-GitHub-Delivery", "11111111-1")
		recorder := httptest.NewRecorder()
		gate.ServeHTTP(recorder, request)
		if queued, _, _ := queue.counts(); queued != 0 || recorder.Code/100 == 2 {
			t.Fatalf("%d, %d kept", recorder.Code, queued)
		}
	})
}

// While n8n is away events wait, and anybody may open issues: all that the gate may keep fits into its memory.
func TestAllThatMayWaitFitsIntoMemory(t *testing.T) {
	settings := configuration("")
	settings.MostQueued = 10_000 // As services/webhook_gate.py has it.
	queue, err := openQueue(t.TempDir(), settings)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(Event{Path: "/x", Received: time.Now(), Keys: []string{"x"}})
	for number := range mostSeen {
		queue.seen[fmt.Sprintf("%064d", number)] = time.Now()
	}
	for number := range settings.MostQueued {
		name := fmt.Sprintf("%d-%016d", time.Now().UnixNano(), number)
		if err := os.WriteFile(filepath.Join(queue.directory, waiting, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
		queue.found = append(queue.found, name)
	}
	before := runtime.NumGoroutine()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	queue.deliver(ctx, func(context.Context, Event) error { return errors.New("n8n is away") })
	time.Sleep(100 * time.Millisecond)
	if more := runtime.NumGoroutine() - before; more > 2*atOnce {
		t.Errorf("%d goroutines wait", more)
	}
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	if used := (memory.HeapAlloc + memory.StackInuse) >> 20; used > 24 {
		t.Errorf("%d MiB", used)
	}
}
