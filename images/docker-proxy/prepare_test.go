package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// prepared has a Docker that begins to listen late do what sandboxes need of it, and tells what it was told.
func prepared(t *testing.T, image string) (string, error) {
	directory := t.TempDir()
	with := policy
	with.Archive = filepath.Join(directory, "sandbox.tar")
	if err := os.WriteFile(with.Archive, []byte("a tar"), 0o600); err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 16)
	docker := &http.Server{Handler: http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		text, _ := io.ReadAll(request.Body)
		told <- request.Method + " " + strings.TrimPrefix(request.URL.RequestURI(), apiVersion) + " " + string(text)
		if strings.HasSuffix(request.URL.Path, "/networks/create") {
			writer.WriteHeader(http.StatusCreated)
		}
		if strings.HasSuffix(request.URL.Path, "/images/create") {
			_, _ = io.WriteString(writer, image)
		}
	})}
	defer docker.Close()
	socket := filepath.Join(directory, "docker.sock")
	go func() {
		time.Sleep(50 * time.Millisecond)
		listener, err := net.Listen("unix", socket)
		if err != nil {
			panic(err)
		}
		_ = docker.Serve(listener)
	}()
	err := with.prepare(context.Background(), newEngine(socket))
	close(told)
	var all []string
	for each := range told {
		all = append(all, each)
	}
	return strings.Join(all, "\n"), err
}

func TestADockerThatBeginsEmptyIsGivenTheNetworksAndTheImageOfSandboxes(t *testing.T) {
	told, err := prepared(t, `{"status":"sha256:abc"}`)
	want := `GET /_ping 
POST /networks/create {"Driver":"bridge","IPAM":{"Config":[{"Gateway":"10.117.0.1","Subnet":"10.117.0.0/24"}],"Driver":"default"},"Name":"javisi_sandbox","Options":{"com.docker.network.bridge.name":"sandbox"}}
POST /networks/create {"Driver":"bridge","IPAM":{"Config":[{"Gateway":"10.117.1.1","Subnet":"10.117.1.0/24"}],"Driver":"default"},"Name":"javisi_egress","Options":{"com.docker.network.bridge.name":"egress"}}
POST /images/create?changes=USER+1000%3A1000&changes=WORKDIR+%2Fworkspace&fromSrc=-&repo=ghcr.io%2Fmobutoo%2Fsandbox&tag=1 a tar`
	if err != nil || told != want {
		t.Errorf("%v\n got %s\nwant %s", err, told, want)
	}
}

func TestAnImageThatFailsAfterItsAnswerBeganIsNoImage(t *testing.T) {
	if _, err := prepared(t, `{"status":"ok"}{"error":"no space left on device"}`); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("%v", err)
	}
}
