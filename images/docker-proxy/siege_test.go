package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sieged is the proxy in front of a Docker with many containers.
func sieged() []*http.Server {
	directory, err := os.MkdirTemp("", "siege")
	if err != nil {
		panic(err)
	}
	socket := filepath.Join(directory, "docker.sock")
	if os.Getenv("VPAI_SIEGED") != "" {
		listener, err := net.Listen("unix", socket)
		if err != nil {
			panic(err)
		}
		there := "[" + strings.Repeat(`{"Id":"x","Names":["/x"],"State":"running","Status":"Up (healthy)","Labels":{"vpai.service":"redis"}},`, 200) +
			`{"Id":"y"}]`
		go http.Serve(listener, http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) { fmt.Fprint(writer, there) }))
	}
	questions := newServer(newQuestions(newEngine(socket)))
	questions.ReadTimeout, questions.WriteTimeout = headWithin, 30*time.Second
	return []*http.Server{newServer(newOrders(policy, newEngine(socket), token)), questions}
}

func TestTenThousandStrangersKeepNobodyOut(t *testing.T) {
	besiege(t, 32, []stranger{
		{0, saying("POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Le")},
		{0, saying("POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n{")},
		{0, without("POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n", 20_000_000)},
		{0, without("GET /_ping HTTP/1.1\r\nHost: x\r\nA: ", 2_000_000)},
		{1, saying("GET /containers/json?all=1 HTTP/1.1\r\nHost: x\r\n\r\n")},
		{1, saying("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")},
		{1, saying("GET /containers/json HT")},
		{1, without("GET /info HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n", 1_999_999)},
		{1, without("GET /", 2_000_000)},
	}, func(client *http.Client, ports []string) error {
		for _, address := range []string{"http://" + ports[0] + "/containers/json", "http://" + ports[1] + "/metrics"} {
			request, _ := http.NewRequest(http.MethodGet, address, nil)
			request.Header.Set(tokenHeader, token)
			answer, err := client.Do(request)
			if err != nil {
				return err
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s", address, answer.Status)
			}
		}
		return nil
	})
}
