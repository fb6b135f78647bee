package main

import (
	"context"
	"errors"
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
)

const (
	githubSecret = "github-secret-of-the-test"
	metaSecret   = "meta-secret-of-the-test"
	n8nSecret    = "n8n-secret-of-the-test"
	callsSecret  = "calls-secret-of-the-test"
)

func configuration(to string) *Configuration {
	return &Configuration{
		Endpoints: []Endpoint{
			{Path: "/webhook/github-autofix", Provider: "github", Events: []string{"issues"}, LargestKiB: 64, To: to},
			{Path: "/webhook/ig-comment", Provider: "meta", Events: []string{"comments"}, Object: "instagram", LargestKiB: 64, To: to},
			{Path: "/webhook/summarize", Provider: "own", LargestKiB: 64, To: to},
		},
		WindowHours: 72, MostQueued: 8,
		github: githubSecret, metaApp: metaSecret, metaVerify: "verify-me-please", calls: callsSecret, n8n: n8nSecret, jobs: "jobs-token-of-the-test",
	}
}

func issue(updated time.Time, title string) string {
	return fmt.Sprintf(`{"action":"labeled","issue":{"title":%q,"updated_at":%q}}`, title, updated.UTC().Format(time.RFC3339))
}

func comment(written int64) string {
	return fmt.Sprintf(`{"object":"instagram","entry":[{"id":"1","time":%d,"changes":[{"field":"comments","value":{"text":"h\u00e9 \\ud83d"}}]}]}`, written)
}

// bench is a gate over a directory of its own, whose deliveries go to `taken`.
type bench struct {
	*testing.T
	gate  http.Handler
	queue *Queue
}

func newBench(t *testing.T, directory string, settings *Configuration) *bench {
	queue, err := openQueue(directory, settings)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{T: t, gate: newGate(settings, queue, newNumbers(queue)), queue: queue}
}

func (bench *bench) ask(method, path, body string, headers ...string) (int, string) {
	bench.Helper()
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	for index := 0; index < len(headers); index += 2 {
		request.Header.Set(headers[index], headers[index+1])
	}
	recorder := httptest.NewRecorder()
	bench.gate.ServeHTTP(recorder, request)
	return recorder.Code, recorder.Body.String()
}

func (bench *bench) github(body, event, id string) int {
	bench.Helper()
	status, _ := bench.ask("POST", "/webhook/github-autofix", body, "X-GitHub-Event", event, "X-GitHub-Delivery", id,
		"X-Hub-Signature-256", signature(githubSecret, []byte(body)))
	return status
}

func (bench *bench) meta(body string) (int, string) {
	bench.Helper()
	return bench.ask("POST", "/webhook/ig-comment", body, "X-Hub-Signature-256", signature(metaSecret, []byte(body)))
}

func (bench *bench) expect(got, wanted int, what string) {
	bench.Helper()
	if got != wanted {
		bench.Errorf("%s: %d instead of %d", what, got, wanted)
	}
}

// GitHub's own example (docs.github.com, "Validating webhook deliveries").
func TestTheSignatureIsThatOfGitHubsDocumentation(t *testing.T) {
	got := signature("It's a Secret to Everybody", []byte("Hello, World!"))
	if got != "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17" {
		t.Error(got)
	}
}

func TestOnlyWhatIsSignedAndAllowedIsKept(t *testing.T) {
	bench := newBench(t, t.TempDir(), configuration(""))
	now := time.Now()
	sound := issue(now, "broken")
	post := func(path, body string, headers ...string) int {
		status, _ := bench.ask("POST", path, body, headers...)
		return status
	}
	right := signature(githubSecret, []byte(sound))
	for what, each := range map[string]struct{ got, wanted int }{
		"no signature":        {post("/webhook/github-autofix", sound, "X-GitHub-Event", "issues"), 401},
		"another's signature": {post("/webhook/github-autofix", sound, "X-Hub-Signature-256", signature(metaSecret, []byte(sound))), 401},
		"another body":        {post("/webhook/github-autofix", sound+" ", "X-Hub-Signature-256", right), 401},
		"SHA-1":               {post("/webhook/github-autofix", sound, "X-Hub-Signature", "sha1=00"), 401},
		"another path":        {post("/webhook/agent-callback", sound, "X-Hub-Signature-256", right), 404},
		"another method":      {func() int { s, _ := bench.ask("PUT", "/webhook/github-autofix", sound); return s }(), 405},
		"GitHub asks nothing": {func() int { s, _ := bench.ask("GET", "/webhook/github-autofix", ""); return s }(), 405},
		"another event":       {bench.github(sound, "push", "11111111-1"), 403},
		"no id":               {bench.github(sound, "issues", ""), 400},
		"too large":           {bench.github(issue(now, strings.Repeat("x", 65<<10)), "issues", "11111111-2"), 413},
		"too old":             {bench.github(issue(now.Add(-73*time.Hour), "old"), "issues", "11111111-3"), 403},
		"from the future":     {bench.github(issue(now.Add(time.Hour), "new"), "issues", "11111111-4"), 403},
		"no time":             {bench.github(`{}`, "issues", "11111111-5"), 403},
		"no JSON":             {bench.github(`hello`, "issues", "11111111-6"), 400},
		"GitHub's greeting":   {bench.github(`{"zen":"z"}`, "ping", "11111111-7"), 200},
		"unsigned greeting":   {post("/webhook/github-autofix", "{}", "X-GitHub-Event", "ping"), 401},
		"another path's field": {func() int {
			s, _ := bench.meta(strings.Replace(comment(now.Unix()), "comments", "mentions", 1))
			return s
		}(), 403},
		"another object": {func() int { s, _ := bench.meta(strings.Replace(comment(now.Unix()), "instagram", "page", 1)); return s }(), 403},
		"Meta, too old":  {func() int { s, _ := bench.meta(comment(now.Add(-73 * time.Hour).Unix())); return s }(), 403},
		"Meta, no entry": {func() int { s, _ := bench.meta(`{"object":"instagram","entry":[]}`); return s }(), 400},
	} {
		bench.expect(each.got, each.wanted, what)
	}
	if queued, _, _ := bench.queue.counts(); queued != 0 {
		t.Fatalf("%d events were kept that should not have been", queued)
	}
	bench.expect(bench.github(sound, "issues", "22222222-1"), 202, "a sound one")
	status, _ := bench.meta(comment(now.UnixMilli()))
	bench.expect(status, 202, "Meta's, in milliseconds")
	if queued, _, _ := bench.queue.counts(); queued != 2 {
		t.Errorf("%d events kept", queued)
	}
}

func TestAReplayIsRefusedByItsIDAndByItsBodyAndAfterARestart(t *testing.T) {
	directory, now := t.TempDir(), time.Now()
	bench := newBench(t, directory, configuration(""))
	body := issue(now, "broken")
	bench.expect(bench.github(body, "issues", "11111111-1"), 202, "the first time")
	bench.expect(bench.github(body, "issues", "11111111-1"), 409, "the same again")
	bench.expect(bench.github(body, "issues", "11111111-2"), 409, "the same body under another id, which no signature covers")
	bench.expect(bench.github(issue(now, "other"), "issues", "11111111-1"), 409, "another body under the same id")
	said := comment(now.Unix())
	status, _ := bench.meta(said)
	bench.expect(status, 202, "Meta, the first time")
	status, answer := bench.meta(said)
	if status != 200 || !strings.Contains(answer, "known") {
		t.Errorf("Meta again: %d %s", status, answer)
	}
	again := newBench(t, directory, configuration(""))
	again.expect(again.github(body, "issues", "11111111-3"), 409, "while it waits, after a restart")
	ctx, cancel := context.WithCancel(context.Background())
	again.queue.deliver(ctx, func(context.Context, Event) error { return nil })
	eventually(t, func() bool { queued, _, _ := again.queue.counts(); return queued == 0 })
	cancel()
	last := newBench(t, directory, configuration(""))
	last.expect(last.github(body, "issues", "11111111-4"), 409, "once delivered, after a restart")
}

func TestWhatIsTooOldToComeAgainIsForgotten(t *testing.T) {
	directory := t.TempDir()
	bench := newBench(t, directory, configuration(""))
	bench.expect(bench.github(issue(time.Now(), "broken"), "issues", "11111111-1"), 202, "kept")
	later := time.Now().Add(73 * time.Hour)
	bench.queue.forget(later)
	if _, _, seen := bench.queue.counts(); seen != 2 {
		t.Errorf("%d keys of an event that still waits", seen)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	bench.queue.deliver(ctx, func(context.Context, Event) error { return nil })
	eventually(t, func() bool { queued, _, _ := bench.queue.counts(); return queued == 0 })
	bench.queue.forget(later)
	files, _ := os.ReadDir(filepath.Join(directory, remembered))
	if _, _, seen := bench.queue.counts(); seen != 0 || len(files) != 0 {
		t.Errorf("%d keys, %d files", seen, len(files))
	}
}

func TestAnEventReachesN8nByteByByteUnderOurTokenHoweverOftenItFails(t *testing.T) {
	var mutex sync.Mutex
	var got []string
	var times []time.Time
	answers := []func(http.ResponseWriter){
		func(w http.ResponseWriter) { w.Header().Set("Retry-After", "2"); w.WriteHeader(http.StatusBadGateway) },
		func(w http.ResponseWriter) { _, _ = io.WriteString(w, "n8n is starting up. Please wait") },
		func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"received":true}`) },
	}
	n8n := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		mutex.Lock()
		defer mutex.Unlock()
		if !known(request) || request.Header.Get("X-Hub-Signature-256") != "" {
			t.Error("not under our token alone")
		}
		answers[min(len(got), 2)](writer)
		got, times = append(got, string(body)), append(times, time.Now())
	}))
	defer n8n.Close()
	settings := configuration(n8n.URL)
	bench := newBench(t, t.TempDir(), settings)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	numbers := newNumbers(bench.queue)
	bench.queue.deliver(ctx, newCourier(settings, numbers))
	sent := comment(time.Now().Unix())
	status, _ := bench.meta(sent)
	bench.expect(status, 202, "kept")
	eventually(t, func() bool { queued, _, _ := bench.queue.counts(); return queued == 0 })
	mutex.Lock()
	defer mutex.Unlock()
	if len(got) != 3 || got[2] != sent {
		t.Errorf("n8n got %q", got)
	} else if waited := times[1].Sub(times[0]); waited < 2*time.Second {
		t.Errorf("n8n asked for 2 s and got %s", waited)
	}
	text := numbers.text()
	for _, line := range []string{`webhook_gate_delivered_total{path="/webhook/ig-comment"} 1`, `webhook_gate_failed_deliveries_total{path="/webhook/ig-comment"} 2`, "webhook_gate_queued 0"} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
}

func TestAFullQueueSaysSoInsteadOfLosing(t *testing.T) {
	bench := newBench(t, t.TempDir(), configuration(""))
	for number := range 8 {
		bench.expect(bench.github(issue(time.Now(), fmt.Sprint(number)), "issues", fmt.Sprintf("11111111-%d", number)), 202, "kept")
	}
	bench.expect(bench.github(issue(time.Now(), "one more"), "issues", "11111111-9"), 503, "full")
}

func TestWhatCannotBeKeptIsNotAcknowledgedAndMayComeAgain(t *testing.T) {
	directory := t.TempDir()
	bench := newBench(t, directory, configuration(""))
	path := filepath.Join(directory, waiting)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	body := issue(time.Now(), "broken")
	bench.expect(bench.github(body, "issues", "11111111-1"), 503, "no disk")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	bench.expect(bench.github(body, "issues", "11111111-1"), 202, "the second attempt")
}

func TestMetaIsAnsweredItsChallenge(t *testing.T) {
	bench := newBench(t, t.TempDir(), configuration(""))
	ask := func(query string) (int, string) { return bench.ask("GET", "/webhook/ig-comment?"+query, "") }
	status, text := ask("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify-me-please")
	if status != 200 || text != "1158201444" {
		t.Errorf("%d %q", status, text)
	}
	for query, wanted := range map[string]int{
		"hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong":                                            403,
		"hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=verify-me-please":                               403,
		"hub.mode=subscribe&hub.verify_token=verify-me-please":                                                 400,
		"hub.mode=subscribe&hub.challenge=%3Cscript%3Ealert(1)%3C/script%3E&hub.verify_token=verify-me-please": 400,
	} {
		status, _ := ask(query)
		bench.expect(status, wanted, query)
	}
}

func TestWithoutItsSecretAnEndpointIsOff(t *testing.T) {
	settings := configuration("")
	settings.github, settings.metaApp, settings.metaVerify = "", "", ""
	bench := newBench(t, t.TempDir(), settings)
	status, _ := bench.ask("POST", "/webhook/github-autofix", "{}", "X-Hub-Signature-256", signature("", []byte("{}")))
	bench.expect(status, 404, "signed with nothing")
	status, _ = bench.ask("GET", "/webhook/ig-comment?hub.mode=subscribe&hub.challenge=1&hub.verify_token=", "")
	bench.expect(status, 404, "verified with nothing")
}

func TestAJobGoesToTheOneWhoAsksAndIsRefusedWhereNobodyDoes(t *testing.T) {
	server := httptest.NewServer(newJobs("jobs-token-of-the-test"))
	defer server.Close()
	ask := func(method, path, body, token string) (int, string, string) {
		request, _ := http.NewRequest(method, server.URL+path, strings.NewReader(body))
		request.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			return 0, "", ""
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text), answer.Header.Get("X-Job")
	}
	for _, path := range []string{"/jobs/next", "/jobs/1/taken"} {
		if status, _, _ := ask("GET", path, "", "wrong"); status != 401 {
			t.Errorf("%s: %d", path, status)
		}
	}
	go func() {
		_, body, id := ask("GET", "/jobs/next", "", "jobs-token-of-the-test")
		if body != `{"number":7}` {
			t.Errorf("the job is %q", body)
		}
		if status, _, _ := ask("POST", "/jobs/"+id+"/taken", "", "jobs-token-of-the-test"); status != 200 {
			t.Errorf("taken: %d", status)
		}
	}()
	if status, text, _ := ask("POST", "/jobs", `{"number":7}`, "jobs-token-of-the-test"); status != 202 {
		t.Errorf("%d %s", status, text)
	}
	if status, _, _ := ask("POST", "/jobs/unknown/taken", "", "jobs-token-of-the-test"); status != 410 {
		t.Errorf("taken without an offer: %d", status)
	}
	if status, _, _ := ask("POST", "/jobs", `nothing`, "jobs-token-of-the-test"); status != 400 {
		t.Errorf("no JSON: %d", status)
	}
	if status, _, _ := ask("POST", "/jobs", `{"number":8}`, "jobs-token-of-the-test"); status != 503 {
		t.Errorf("nobody asks: %d", status)
	}
}

func TestWhoeverWaitsForAJobIsLetGoWhenTheGateStops(t *testing.T) {
	stopped, stop := context.WithCancel(context.Background())
	stop()
	for path, status := range map[string]int{"GET /jobs/next": 204, "POST /jobs": 503} {
		method, path, _ := strings.Cut(path, " ")
		request := httptest.NewRequest(method, path, strings.NewReader(`{"number":9}`)).WithContext(stopped)
		request.Header.Set("Authorization", "Bearer jobs-token-of-the-test")
		answer := httptest.NewRecorder()
		before := time.Now()
		newJobs("jobs-token-of-the-test").ServeHTTP(answer, request)
		if answer.Code != status || time.Since(before) > time.Second {
			t.Errorf("%s %s: %d after %s", method, path, answer.Code, time.Since(before))
		}
	}
}

func TestAConfigurationThatLeavesAHoleIsRefused(t *testing.T) {
	directory := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	endpoint := `{"path":"/webhook/a","provider":"github","events":["issues"],"largest_kib":1,"to":"http://n8n"}`
	sound := `{"endpoints":[` + endpoint + `],"window_hours":72,"most_queued":9}`
	write("gate.json", sound)
	for _, name := range []string{"calls-secret", "n8n-secret"} {
		if _, err := read(directory); err == nil {
			t.Errorf("without %s", name)
		}
		write(name, n8nSecret)
	}
	write("jobs-token", n8nSecret)
	write("github-webhook-secret", "")
	if _, err := read(directory); err != nil {
		t.Error(err)
	}
	write("github-webhook-secret", "short\n")
	if _, err := read(directory); err == nil {
		t.Error("a short secret")
	}
	write("github-webhook-secret", "")
	for _, change := range [][2]string{{"/webhook/a", "/rest/a"}, {`"github"`, `"gitlab"`}, {`["issues"]`, `[]`}, {"72", "0"}, {`"to"`, `"too"`}, {"http://n8n", "n8n:5678"}, {`"github"`, `"own"`}} {
		write("gate.json", strings.Replace(sound, change[0], change[1], 1))
		if _, err := read(directory); err == nil {
			t.Errorf("with %s", change[1])
		}
	}
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for range 100 {
		if done() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal(errors.New("not within 10 s"))
}
