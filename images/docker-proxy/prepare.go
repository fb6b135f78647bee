package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Docker starts in two seconds; the image of sandboxes, some hundred MiB, is written to a disk.
const readyWithin = 3 * time.Minute

// prepare waits for a Docker that begins empty, and gives it what sandboxes are made of: their image and their networks.
func (policy Policy) prepare(ctx context.Context, engine *Engine) error {
	for {
		answer, err := engine.ask(ctx, http.MethodGet, "/_ping", nil)
		if err == nil {
			answer.Body.Close()
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the Docker of sandboxes does not answer: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	for _, network := range policy.Networks {
		// Each has a way out of its bridge, and the packet filter says to where.
		made := object{
			"Name": network.Name, "Driver": "bridge", "Options": object{"com.docker.network.bridge.name": network.Bridge},
			"IPAM": object{"Driver": "default", "Config": []object{{"Subnet": network.Range, "Gateway": network.Gateway}}},
		}
		if err := engine.order(ctx, "/networks/create", made); err != nil {
			return err
		}
	}
	return policy.makeImage(ctx, engine)
}

func (policy Policy) makeImage(ctx context.Context, engine *Engine) error {
	archive, err := os.Open(policy.Archive)
	if err != nil {
		return err
	}
	defer archive.Close()
	repository, tag, _ := strings.Cut(policy.Image, ":")
	query := url.Values{"fromSrc": {"-"}, "repo": {repository}, "tag": {tag}, "changes": {"USER " + policy.User, "WORKDIR /workspace"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://docker"+apiVersion+"/images/create?"+query.Encode(), archive)
	if err != nil {
		return err
	}
	answer, err := engine.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	// Docker says 200 first and what failed afterwards.
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || strings.Contains(string(text), `"error"`) {
		return errors.Join(err, fmt.Errorf("Docker answers %s to the image %s: %s", answer.Status, policy.Image, short(string(text))))
	}
	return nil
}

// order asks Docker to make something.
func (engine *Engine) order(ctx context.Context, path string, body object) error {
	answer, err := engine.ask(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		return fmt.Errorf("Docker answers %s to %s", answer.Status, path)
	}
	return nil
}
