package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// errFinal: the same event would be refused again.
var errFinal = errors.New("refused for good")

// errLater is a refusal that passes, and asks for patience of its own.
type errLater struct {
	error
	wait time.Duration
}

// newCourier brings an event to n8n.
func newCourier(configuration *Configuration, numbers *Numbers) func(context.Context, Event) error {
	client := newClient(60 * time.Second)
	return func(ctx context.Context, event Event) error {
		request := toWorkflow(ctx, configuration.n8n, event.To, event.Body)
		request.Header.Set("X-Webhook-Event", event.Name)
		request.Header.Set("X-Webhook-Delivery", event.Delivery)
		answer, err := client.Do(request)
		if err != nil {
			numbers.failed(event.Path)
			return err
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 500))
		switch workflow := ofWorkflow(text); {
		case workflow && answer.StatusCode/100 == 2:
			numbers.delivered(event.Path)
			return nil
		// What a workflow answers to an event that it cannot use, and to one that a foreign API refuses for good.
		case workflow && (answer.StatusCode == http.StatusBadRequest || answer.StatusCode == http.StatusUnprocessableEntity):
			numbers.failed(event.Path)
			return fmt.Errorf("%w: %s: %s", errFinal, answer.Status, text)
		}
		numbers.failed(event.Path)
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return errLater{fmt.Errorf("n8n answered %s: %s", answer.Status, text), min(time.Duration(seconds)*time.Second, longestWait)}
	}
}
