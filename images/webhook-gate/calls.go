package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"time"
)

const (
	answersWithin = 130 * time.Second // A workflow waits two minutes for a model.
	largestAnswer = 1 << 20
	mostCalls     = 8
)

// newCalls is the port of those who call a workflow themselves: members of the VPN, and OpenClaw. They sign the bytes that
// they send, and get what the workflow answers. Of whoever does not sign, n8n hears nothing.
func newCalls(configuration *Configuration, numbers *Numbers) http.Handler {
	calls := &calls{configuration: configuration, numbers: numbers, places: make(chan struct{}, mostCalls), client: newClient(answersWithin)}
	mux := http.NewServeMux()
	for _, endpoint := range configuration.Endpoints {
		if endpoint.Provider == own {
			mux.Handle("POST "+endpoint.Path, answering(numbers, endpoint, calls.call))
		}
	}
	mux.Handle("/", answering(numbers, Endpoint{Path: "another"}, func(_ http.ResponseWriter, request *http.Request, _ Endpoint) *Refusal {
		if refusal := wellFormed(request, ownHeader); refusal != nil {
			return refusal
		}
		return refuse(http.StatusNotFound, "path", "no workflow is called so; a call is a POST")
	}))
	return mux
}

type calls struct {
	configuration *Configuration
	numbers       *Numbers
	bodies        Bodies
	places        chan struct{}
	client        *http.Client
}

func (calls *calls) call(writer http.ResponseWriter, request *http.Request, endpoint Endpoint) *Refusal {
	if refusal := wellFormed(request, ownHeader); refusal != nil {
		return refusal
	}
	var body []byte
	refusal := calls.bodies.read(writer, request, endpoint.LargestKiB<<10, func(text []byte) *Refusal {
		body = text
		return signed(calls.configuration.calls, request, ownHeader, text)
	})
	if refusal != nil {
		return refusal
	}
	// Whatever the caller says that it is: n8n is told that it is JSON, and answers 422 with a stack to what is none.
	if !json.Valid(body) {
		return refuse(http.StatusBadRequest, "form", "the body is no JSON")
	}
	select {
	case calls.places <- struct{}{}:
		defer func() { <-calls.places }()
	default:
		return refuse(http.StatusServiceUnavailable, "full", "%d calls are under way: call again", mostCalls)
	}
	ctx, cancel := context.WithTimeout(request.Context(), answersWithin)
	defer cancel()
	answer, err := calls.client.Do(toWorkflow(ctx, calls.configuration.n8n, endpoint.To, body))
	if err != nil {
		slog.Error("n8n did not answer", "path", endpoint.Path, "why", err.Error())
		return refuse(http.StatusServiceUnavailable, "n8n", "n8n does not answer: call again")
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, largestAnswer))
	if err != nil || !ofWorkflow(text) {
		slog.Error("no answer of a workflow", "path", endpoint.Path, "status", answer.Status)
		return refuse(http.StatusServiceUnavailable, "n8n", "n8n is starting, or its workflow failed: see its executions")
	}
	calls.numbers.accepted(endpoint.Path, "call")
	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(answer.StatusCode)
	_, _ = writer.Write(text)
	return nil
}

// ofWorkflow tells an answer of a workflow from n8n's own: it answers 404 while it starts, and 200 with a page that asks to wait.
func ofWorkflow(text []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) }
