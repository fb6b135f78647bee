package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// known tells what n8n's Webhook node tells (jsonwebtoken's verify): the gate's token, and not an old one.
func known(request *http.Request) bool {
	parts := strings.Split(strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer "), ".")
	if len(parts) != 3 {
		return false
	}
	mac := hmac.New(sha256.New, []byte(n8nSecret))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	given, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(given, mac.Sum(nil)) {
		return false
	}
	text, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Exp int64 }
	return json.Unmarshal(text, &claims) == nil && claims.Exp > time.Now().Unix() && claims.Exp <= time.Now().Add(time.Minute).Unix()
}

func called(gate http.Handler, body io.Reader, headers ...string) (int, string, http.Header) {
	request := httptest.NewRequest("POST", "/webhook/summarize", body)
	for index := 0; index < len(headers); index += 2 {
		request.Header.Add(headers[index], headers[index+1])
	}
	recorder := httptest.NewRecorder()
	gate.ServeHTTP(recorder, request)
	return recorder.Code, recorder.Body.String(), recorder.Header()
}

// workflow plays n8n and counts what reaches it.
func workflow(t *testing.T, handle http.HandlerFunc) (*Configuration, *int) {
	asked := 0
	n8n := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		asked++
		if !known(request) || request.Header.Get("X-Signature-256") != "" || request.Header.Get("Content-Type") != "application/json" {
			t.Error("n8n is not told by whom it is called, or of what type")
		}
		handle(writer, request)
	}))
	t.Cleanup(n8n.Close)
	return configuration(n8n.URL), &asked
}

func TestWhoDoesNotSignIsRefusedWhateverTheTypeAndTheSizeAndReachesNoWorkflow(t *testing.T) {
	settings, asked := workflow(t, func(http.ResponseWriter, *http.Request) {})
	gate := newCalls(settings, newNumbers(&Queue{}))
	another := signature("another-secret", []byte(`{"text":"x"}`))
	for _, kind := range []string{
		"application/json", "multipart/form-data; boundary=x", "multipart/mixed", "application/x-www-form-urlencoded", "text/plain",
		"application/xml", "application/octet-stream", "image/png", "", "/", "application/json; charset=utf-16",
	} {
		for _, size := range []int{0, 12, 64 << 10, 1 << 20, 300 << 20} {
			for _, given := range []string{"", "sha256=", "sha256=zz", strings.Repeat("0", 64)} {
				body := &counted{}
				status, _, _ := called(gate, io.MultiReader(io.LimitReader(body, int64(size))), "Content-Type", kind, "X-Signature-256", given)
				if status != http.StatusUnauthorized || body.bytes != 0 {
					t.Errorf("%q, %d bytes, %q: %d after %d bytes", kind, size, given, status, body.bytes)
				}
			}
		}
		for _, encoding := range []string{"", "gzip", "br"} {
			status, _, _ := called(gate, strings.NewReader(`{"text":"x"}`), "Content-Type", kind, "Content-Encoding", encoding, "X-Signature-256", another)
			if status != http.StatusUnauthorized {
				t.Errorf("%q, %q, another's signature: %d", kind, encoding, status)
			}
		}
	}
	status, _, _ := called(gate, strings.NewReader("{}"), "X-Signature-256", signature(callsSecret, []byte("{}")), "X-Signature-256", another)
	if status != http.StatusUnauthorized {
		t.Errorf("two signatures: %d", status)
	}
	for _, path := range []string{"/webhook/ig-comment", "/webhook/summarize/", "/webhook/", "/", "/rest/login"} {
		for method, wanted := range map[string]int{"POST": http.StatusUnauthorized, "GET": http.StatusUnauthorized} {
			request := httptest.NewRequest(method, path, strings.NewReader("{}"))
			recorder := httptest.NewRecorder()
			gate.ServeHTTP(recorder, request)
			if recorder.Code != wanted {
				t.Errorf("%s %s: %d", method, path, recorder.Code)
			}
			request = httptest.NewRequest(method, path, strings.NewReader("{}"))
			request.Header.Set(ownHeader, signature(callsSecret, []byte("{}")))
			recorder = httptest.NewRecorder()
			gate.ServeHTTP(recorder, request)
			if recorder.Code != http.StatusNotFound {
				t.Errorf("%s %s, signed: %d", method, path, recorder.Code)
			}
		}
	}
	if *asked != 0 {
		t.Errorf("n8n was asked %d times", *asked)
	}
}

func TestASignedCallIsAnsweredByItsWorkflow(t *testing.T) {
	sent := []byte("{\"text\":  \"o\\u00f9 \\ud83d\"}\n")
	settings, _ := workflow(t, func(writer http.ResponseWriter, request *http.Request) {
		if body, _ := io.ReadAll(request.Body); !bytes.Equal(body, sent) {
			t.Errorf("n8n got %q", body)
		}
		writer.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(writer, `{"summary":"short"}`)
	})
	// A form's type as well, which n8n would not read as what was signed.
	status, text, headers := called(newCalls(settings, newNumbers(&Queue{})), bytes.NewReader(sent),
		"X-Signature-256", signature(callsSecret, sent), "Content-Type", "multipart/form-data; boundary=x")
	if status != http.StatusAccepted || text != `{"summary":"short"}` || headers.Get("Content-Type") != "application/json" {
		t.Errorf("%d %q %v", status, text, headers)
	}
}

func TestWhatIsNoJSONOrNoAnswerOfAWorkflowIsSaid(t *testing.T) {
	answers := []string{"n8n is starting up. Please wait", "<!doctype html>", ""}
	settings, asked := workflow(t, func(writer http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(writer, answers[0])
		answers = answers[1:]
	})
	gate := newCalls(settings, newNumbers(&Queue{}))
	call := func(body string) (int, http.Header) {
		status, _, headers := called(gate, strings.NewReader(body), "X-Signature-256", signature(callsSecret, []byte(body)))
		return status, headers
	}
	for _, body := range []string{"", "hello", "{", "--x\r\n", "text=x", "\xff"} {
		if status, _ := call(body); status != http.StatusBadRequest || *asked != 0 {
			t.Errorf("%q: %d", body, status)
		}
	}
	if status, _ := call(`"` + strings.Repeat("x", 64<<10) + `"`); status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", status)
	}
	for range len(answers) {
		if status, headers := call("{}"); status != http.StatusServiceUnavailable || headers.Get("Retry-After") == "" {
			t.Errorf("n8n's own answer: %d", status)
		}
	}
}

func TestMoreCallsThanThereAreWorkflowsForAreToldToWait(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{}, mostCalls)
	settings, _ := workflow(t, func(writer http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-release
		_, _ = io.WriteString(writer, "{}")
	})
	gate := newCalls(settings, newNumbers(&Queue{}))
	statuses := make(chan int, mostCalls)
	call := func() int {
		status, _, _ := called(gate, strings.NewReader("{}"), "X-Signature-256", signature(callsSecret, []byte("{}")))
		return status
	}
	for range mostCalls {
		go func() { statuses <- call() }()
	}
	for range mostCalls {
		<-entered
	}
	if status := call(); status != http.StatusServiceUnavailable {
		t.Errorf("one more: %d", status)
	}
	close(release)
	for range mostCalls {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("one of those: %d", status)
		}
	}
}

func TestAnEventThatIsRefusedForGoodIsSentOnceAndKept(t *testing.T) {
	settings, asked := workflow(t, func(writer http.ResponseWriter, _ *http.Request) {
		writer.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(writer, `{"error":"Telegram refuses it: message is too long"}`)
	})
	bench := newBench(t, t.TempDir(), settings)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	bench.queue.deliver(ctx, newCourier(settings, newNumbers(bench.queue)))
	status, _ := bench.meta(comment(time.Now().Unix()))
	bench.expect(status, 202, "kept")
	eventually(t, func() bool { _, gaveUp, _ := bench.queue.counts(); return gaveUp == 1 })
	time.Sleep(1200 * time.Millisecond) // The first pause before an event comes again is a second.
	bench.expect(*asked, 1, "calls of n8n")
}
