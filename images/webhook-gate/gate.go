package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// Gate is the port of the webhooks.
type Gate struct {
	configuration *Configuration
	queue         *Queue
	numbers       *Numbers
	bodies        Bodies
	now           func() time.Time
}

func newGate(configuration *Configuration, queue *Queue, numbers *Numbers) http.Handler {
	gate := &Gate{configuration: configuration, queue: queue, numbers: numbers, now: time.Now}
	mux := http.NewServeMux()
	for _, endpoint := range configuration.Endpoints {
		if endpoint.Provider == own {
			continue
		}
		mux.Handle("POST "+endpoint.Path, answering(numbers, endpoint, gate.event))
		if endpoint.Provider == "meta" {
			mux.Handle("GET "+endpoint.Path, answering(numbers, endpoint, gate.verification))
		}
	}
	return mux
}

type answer func(http.ResponseWriter, *http.Request, Endpoint) *Refusal

func answering(numbers *Numbers, endpoint Endpoint, handle answer) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		refusal := handle(writer, request, endpoint)
		if refusal == nil {
			return
		}
		numbers.refused(endpoint.Path, refusal.reason)
		slog.Warn("refused", "path", endpoint.Path, "reason", refusal.reason, "why", refusal.why,
			"delivery", request.Header.Get("X-GitHub-Delivery"), "from", request.Header.Get("X-Forwarded-For"))
		if refusal.status == http.StatusServiceUnavailable {
			writer.Header().Set("Retry-After", "60")
		}
		say(writer, refusal.status, map[string]string{"error": refusal.why})
	})
}

func (gate *Gate) verification(writer http.ResponseWriter, request *http.Request, endpoint Endpoint) *Refusal {
	if gate.configuration.metaVerify == "" {
		return off("meta_verify_token")
	}
	asked, refusal := verified(gate.configuration.metaVerify, request)
	if refusal != nil {
		return refusal
	}
	writer.Header().Set("Content-Type", "text/plain")
	writer.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(writer, asked)
	gate.numbers.accepted(endpoint.Path, "verification")
	return nil
}

func (gate *Gate) event(writer http.ResponseWriter, request *http.Request, endpoint Endpoint) *Refusal {
	secret, check, name := gate.configuration.github, github, "github_webhook_secret"
	if endpoint.Provider == "meta" {
		secret, check, name = gate.configuration.metaApp, meta, "meta_app_secret"
	}
	if secret == "" {
		return off(name)
	}
	// Who shows nothing that could be a signature is read no byte of.
	if refusal := wellFormed(request, hubHeader); refusal != nil {
		return refusal
	}
	var body []byte
	refusal := gate.bodies.read(writer, request, endpoint.LargestKiB<<10, func(text []byte) *Refusal {
		body = text
		// Before anything is read into it: who has no key learns nothing but that.
		return signed(secret, request, hubHeader, text)
	})
	if refusal != nil {
		return refusal
	}
	now, window := gate.now(), time.Duration(gate.configuration.WindowHours)*time.Hour
	passed, refusal := check(endpoint, request, body, now, window)
	if refusal != nil {
		return refusal
	}
	if passed.greeting {
		gate.numbers.accepted(endpoint.Path, "ping")
		say(writer, http.StatusOK, map[string]string{"pong": endpoint.Path})
		return nil
	}
	err := gate.queue.put(Event{
		Path: endpoint.Path, To: endpoint.To, Name: request.Header.Get("X-GitHub-Event"),
		Delivery: request.Header.Get("X-GitHub-Delivery"), Keys: passed.keys, Received: now, Body: body,
	})
	switch {
	case errors.Is(err, errSeen) && endpoint.Provider == "meta":
		// Meta comes again until it hears a 200, and ends the subscription when it hears none.
		gate.numbers.refused(endpoint.Path, "replay")
		say(writer, http.StatusOK, map[string]string{"known": endpoint.Path})
	case errors.Is(err, errSeen):
		return refuse(http.StatusConflict, "replay", "this event came before, by its id or by its body")
	case errors.Is(err, errFull):
		return refuse(http.StatusServiceUnavailable, "full", "%v", err)
	case err != nil:
		slog.Error(err.Error())
		return refuse(http.StatusServiceUnavailable, "disk", "the event could not be kept")
	default:
		gate.numbers.accepted(endpoint.Path, "event")
		say(writer, http.StatusAccepted, map[string]string{"kept": endpoint.Path})
	}
	return nil
}

func off(secret string) *Refusal {
	return refuse(http.StatusNotFound, "off", "not served: %s is not set", secret)
}

func say(writer http.ResponseWriter, status int, document map[string]string) {
	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(status)
	_ = json.NewEncoder(writer).Encode(document)
}
