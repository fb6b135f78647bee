package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// newCourier brings an event to n8n: the bytes as they came, under our own signature. The sender's is not handed on: n8n
// does not hold the sender's secret, so it needs none.
func newCourier(configuration *Configuration, numbers *Numbers) func(context.Context, Event) error {
	client := &http.Client{
		Timeout: 60 * time.Second,
		// An event goes to n8n and nowhere else, whatever answers.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, event Event) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, event.To, bytes.NewReader(event.Body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("X-Signature-256", signature(configuration.n8n, event.Body))
		request.Header.Set("X-Webhook-Event", event.Name)
		request.Header.Set("X-Webhook-Delivery", event.Delivery)
		answer, err := client.Do(request)
		if err != nil {
			numbers.failed(event.Path)
			return err
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 500))
		// n8n answers 404 while it starts, and 200 with a page that asks to wait: only JSON is an answer of a workflow.
		if answer.StatusCode/100 != 2 || !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
			numbers.failed(event.Path)
			return fmt.Errorf("n8n answered %s: %s", answer.Status, text)
		}
		numbers.delivered(event.Path)
		return nil
	}
}
