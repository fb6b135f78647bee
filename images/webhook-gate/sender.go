package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Refusal is what the sender is told, and the name under which it is counted.
type Refusal struct {
	status int
	reason string
	why    string
}

func (refusal *Refusal) Error() string { return refusal.why }

func refuse(status int, reason, format string, arguments ...any) *Refusal {
	return &Refusal{status: status, reason: reason, why: fmt.Sprintf(format, arguments...)}
}

var (
	delivery  = regexp.MustCompile(`^[0-9a-zA-Z-]{8,64}$`)
	challenge = regexp.MustCompile(`^[0-9a-zA-Z._-]{1,128}$`)
)

// clockSkew is how far ahead of ours a sender's clock may be.
const clockSkew = 10 * time.Minute

// Where a signature stands: GitHub's and Meta's header, and that of who calls a workflow.
const (
	hubHeader = "X-Hub-Signature-256"
	ownHeader = "X-Signature-256"
)

// signature is the hexadecimal HMAC-SHA256 that GitHub, Meta and our own callers write.
func signature(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

var signatureForm = regexp.MustCompile(`^sha256=[0-9a-f]{64}$`)

// wellFormed tells whether there is anything to compare with: one header of the form that all of them send.
func wellFormed(request *http.Request, header string) *Refusal {
	if given := request.Header.Values(header); len(given) != 1 || !signatureForm.MatchString(given[0]) {
		return refuse(http.StatusUnauthorized, "signature", "the signature in %s is missing, or not sha256= and 64 hexadecimal digits", header)
	}
	return nil
}

// signed compares in constant time.
func signed(secret string, request *http.Request, header string, body []byte) *Refusal {
	given := request.Header.Get(header)
	if subtle.ConstantTimeCompare([]byte(given), []byte(signature(secret, body))) != 1 {
		return refuse(http.StatusUnauthorized, "signature", "the signature in %s is wrong", header)
	}
	return nil
}

// Passed is what a verified event is known by.
type Passed struct {
	// keys name the event: one that was seen under any of them is a replay.
	keys []string
	// greeting: GitHub asks whether anybody is there. Answered here, no event.
	greeting bool
}

// github checks an event of GitHub's. Its delivery id is a header that no signature covers: who replays a body may choose
// another one. So the body itself is a key too, and the time that GitHub wrote into it bounds for how long.
func github(endpoint Endpoint, request *http.Request, body []byte, now time.Time, window time.Duration) (Passed, *Refusal) {
	event, id := request.Header.Get("X-GitHub-Event"), request.Header.Get("X-GitHub-Delivery")
	if !json.Valid(body) {
		// A form, which is what GitHub sends unless it was set: said at its ping, before the first event is lost.
		return Passed{}, refuse(http.StatusBadRequest, "form", "the body is no JSON: set the webhook's content type to application/json")
	}
	if event == "ping" {
		return Passed{greeting: true}, nil
	}
	if !slices.Contains(endpoint.Events, event) {
		return Passed{}, refuse(http.StatusForbidden, "event", "the event %q is none of %s", event, strings.Join(endpoint.Events, ", "))
	}
	if !delivery.MatchString(id) {
		return Passed{}, refuse(http.StatusBadRequest, "form", "X-GitHub-Delivery is missing or no id")
	}
	var document struct {
		Issue struct {
			UpdatedAt time.Time `json:"updated_at"`
		} `json:"issue"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return Passed{}, refuse(http.StatusBadRequest, "form", "the body is not the JSON of an issue's event")
	}
	if refusal := fresh(document.Issue.UpdatedAt, now, window); refusal != nil {
		return Passed{}, refusal
	}
	return Passed{keys: []string{key("delivery", id), key("body", endpoint.Path, string(body))}}, nil
}

// meta checks an event of Meta's, which has no id of its own: the body is its key, and the times of its entries bound for
// how long it must be remembered. Meta tries for 36 hours to deliver (Graph API, Webhooks: "Getting started").
func meta(endpoint Endpoint, _ *http.Request, body []byte, now time.Time, window time.Duration) (Passed, *Refusal) {
	var document struct {
		Object string `json:"object"`
		Entry  []struct {
			Time    int64  `json:"time"`
			Field   string `json:"field"` // With Instagram's own login, in the place of changes.
			Changes []struct {
				Field string `json:"field"`
			} `json:"changes"`
			Messaging []json.RawMessage `json:"messaging"`
		} `json:"entry"`
	}
	if err := json.Unmarshal(body, &document); err != nil || len(document.Entry) == 0 {
		return Passed{}, refuse(http.StatusBadRequest, "form", "the body is not the JSON of an event with entries")
	}
	if document.Object != endpoint.Object {
		return Passed{}, refuse(http.StatusForbidden, "event", "the object %q is not %s", document.Object, endpoint.Object)
	}
	for _, entry := range document.Entry {
		fields := make([]string, 0, len(entry.Changes)+1)
		for _, change := range entry.Changes {
			fields = append(fields, change.Field)
		}
		if entry.Field != "" {
			fields = append(fields, entry.Field)
		}
		if len(entry.Messaging) > 0 {
			fields = append(fields, "messages")
		}
		if len(fields) == 0 {
			return Passed{}, refuse(http.StatusBadRequest, "form", "an entry says nothing")
		}
		for _, field := range fields {
			if !slices.Contains(endpoint.Events, field) {
				return Passed{}, refuse(http.StatusForbidden, "event", "the field %q is none of %s", field, strings.Join(endpoint.Events, ", "))
			}
		}
		if refusal := fresh(metaTime(entry.Time), now, window); refusal != nil {
			return Passed{}, refusal
		}
	}
	return Passed{keys: []string{key("body", endpoint.Path, string(body))}}, nil
}

// metaTime reads seconds, or milliseconds where Meta writes those (messages).
func metaTime(number int64) time.Time {
	if number > 100_000_000_000 {
		return time.UnixMilli(number)
	}
	return time.Unix(number, 0)
}

func fresh(written, now time.Time, window time.Duration) *Refusal {
	if written.Before(now.Add(-window)) || written.After(now.Add(clockSkew)) {
		return refuse(http.StatusForbidden, "age", "written at %s, outside of the %s in which a replay would be known", written.UTC().Format(time.RFC3339), window)
	}
	return nil
}

func key(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// verified answers Meta's question whether this address is ours.
func verified(token string, request *http.Request) (string, *Refusal) {
	query := request.URL.Query()
	given := query.Get("hub.verify_token")
	if query.Get("hub.mode") != "subscribe" || subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
		return "", refuse(http.StatusForbidden, "verification", "hub.mode is not subscribe, or hub.verify_token is not ours")
	}
	if asked := query.Get("hub.challenge"); challenge.MatchString(asked) {
		return asked, nil
	}
	return "", refuse(http.StatusBadRequest, "verification", "hub.challenge is missing or no plain word")
}
