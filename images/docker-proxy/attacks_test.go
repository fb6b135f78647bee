package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// order is a whole request as it stands on the wire.
func order(method, path, body string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\n%s: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		method, path, tokenHeader, token, len(body), body)
}

// vanishing is Docker with a sandbox and an exec, which are gone once the sandbox was removed; like Docker, it answers an
// exec that is not there on a connection that it keeps for the next request.
type vanishing struct {
	gone      atomic.Bool
	privilege atomic.Bool
}

func (docker *vanishing) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	switch path := strings.TrimPrefix(request.URL.Path, apiVersion); {
	case strings.Contains(string(body), `"Privileged":true`):
		docker.privilege.Store(true)
		writer.WriteHeader(http.StatusCreated)
	case request.Method == http.MethodDelete:
		docker.gone.Store(true)
		writer.WriteHeader(http.StatusNoContent)
	case docker.gone.Load():
		writer.WriteHeader(http.StatusNotFound)
	case path == "/exec/e1/json":
		fmt.Fprint(writer, `{"ID":"e1","ContainerID":"sbx"}`)
	case path == "/containers/sbx/json":
		fmt.Fprint(writer, `{"Id":"sbx","Config":{"Labels":{"vpai.sandbox":"1"}}}`)
	}
}

// Found on 29 November 2026: the exec was asked for before its body was there, and the connections were joined whatever
// Docker answered. A privileged container ran on the host.
func TestNoRequestReachesDockerBehindAnExecThatHasGone(t *testing.T) {
	docker := &vanishing{}
	orders := before(t, docker)
	connection, err := net.Dial("tcp", strings.TrimPrefix(orders.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	whole := order("POST", "/v1.45/exec/e1/start", "{}")
	fmt.Fprint(connection, whole[:len(whole)-1])
	time.Sleep(300 * time.Millisecond)
	if status, text := send(t, orders, "DELETE", "/containers/sbx?force=1", "", token); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, text)
	}
	fmt.Fprint(connection, whole[len(whole)-1:]+order("POST", apiVersion+"/containers/create", `{"HostConfig":{"Privileged":true}}`))
	_ = connection.SetReadDeadline(time.Now().Add(2 * time.Second))
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil || answer.StatusCode == http.StatusSwitchingProtocols {
		t.Errorf("%v %v", answer, err)
	}
	time.Sleep(300 * time.Millisecond)
	if docker.privilege.Load() {
		t.Error("Docker was given a request that no policy has seen")
	}
}

// Also where the exec goes between the question and the start: what Docker answers is read, and only a 101 joins.
func TestOnlyWhatDockerHandsOverIsJoined(t *testing.T) {
	docker := &vanishing{}
	orders := before(t, http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if strings.HasSuffix(request.URL.Path, "/start") {
			docker.gone.Store(true)
		}
		docker.ServeHTTP(writer, request)
	}))
	connection, err := net.Dial("tcp", strings.TrimPrefix(orders.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprint(connection, order("POST", "/exec/e1/start", "{}")+order("POST", apiVersion+"/containers/create", `{"HostConfig":{"Privileged":true}}`))
	_ = connection.SetReadDeadline(time.Now().Add(2 * time.Second))
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil || answer.StatusCode != http.StatusNotFound {
		t.Errorf("%v %v", answer, err)
	}
	time.Sleep(300 * time.Millisecond)
	if docker.privilege.Load() {
		t.Error("Docker was given a request that no policy has seen")
	}
}

// Docker redirects a path that is not clean; where it sends us may be what we refuse (V6: it asked a registry of its own host's).
func TestWhereDockerSendsUsElsewhereWeDoNotGo(t *testing.T) {
	var told []string
	var mutex sync.Mutex
	socket := serving(t, http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		told = append(told, request.URL.Path)
		http.Redirect(writer, request, "/v1.45/distribution/127.0.0.1:5999/evil/json", http.StatusMovedPermanently)
	}))
	questions := httptest.NewServer(newQuestions(newEngine(socket)))
	defer questions.Close()
	for _, path := range []string{"/images/x/json", "/info", "/metrics", "/containers/json"} {
		if status, text := send(t, questions, "GET", path, "", ""); status != http.StatusForbidden {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if len(told) != 4 || strings.Contains(strings.Join(told, " "), "distribution") {
		t.Error(told)
	}
}

// counting is a slow Docker that starts what it was asked to start, whether or not somebody waits for the answer.
type counting struct {
	sync.Mutex
	made, running, most int
}

func (docker *counting) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	_, _ = io.ReadAll(request.Body)
	switch path := strings.TrimPrefix(request.URL.Path, apiVersion); {
	case path == "/volumes/create":
		writer.WriteHeader(http.StatusCreated)
	case path == "/volumes/"+data:
		fmt.Fprintf(writer, `{"Options":{"type":"none","o":"bind","device":%q}}`, policy.Workspaces)
	case path == "/containers/json":
		docker.Lock()
		defer docker.Unlock()
		there := make([]string, 0, docker.made)
		for number := range docker.made {
			state := "created"
			if number < docker.running {
				state = "running"
			}
			there = append(there, fmt.Sprintf(`{"Id":"r%d","State":%q}`, number, state))
		}
		fmt.Fprintf(writer, "[%s]", strings.Join(there, ","))
	case strings.HasSuffix(path, "/json"):
		fmt.Fprintf(writer, `{"Id":"new","Config":{"Labels":{"vpai.sandbox":"1"}}}`)
	default:
		time.Sleep(30 * time.Millisecond)
		docker.Lock()
		defer docker.Unlock()
		if strings.HasSuffix(path, "/start") {
			docker.running++
		}
		docker.made++
		docker.most = max(docker.most, docker.made)
		writer.WriteHeader(http.StatusNoContent)
	}
}

// A client that leaves while Docker works must not make room for the next one before Docker has counted.
func TestWhoLeavesEarlyIsCountedAllTheSame(t *testing.T) {
	for _, path := range []string{"/containers/x/start", "/containers/create?name=openclaw-sbx-a"} {
		docker := &counting{}
		orders := before(t, docker)
		var clients sync.WaitGroup
		for range 40 {
			clients.Add(1)
			go func() {
				defer clients.Done()
				ctx, stop := context.WithTimeout(context.Background(), 10*time.Millisecond)
				defer stop()
				request, _ := http.NewRequestWithContext(ctx, "POST", orders.URL+path, strings.NewReader(sound))
				request.Header.Set(tokenHeader, token)
				if answer, err := http.DefaultClient.Do(request); err == nil {
					answer.Body.Close()
				}
			}()
			time.Sleep(5 * time.Millisecond)
		}
		clients.Wait()
		for range 5 { // And those who wait for the answer.
			send(t, orders, "POST", path, sound, token)
		}
		if docker.most != policy.AtMost {
			t.Errorf("%s: %d at once, %d are allowed", path, docker.most, policy.AtMost)
		}
	}
}

func serving(t testing.TB, docker http.Handler) string {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: docker}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return socket
}

func before(t testing.TB, docker http.Handler) *httptest.Server {
	orders := httptest.NewServer(newOrders(policy, newEngine(serving(t, docker)), token))
	t.Cleanup(orders.Close)
	return orders
}

// FuzzContainer gives the policy bodies of every form; what passes holds to the limits, however it was said.
func FuzzContainer(f *testing.F) {
	for _, seed := range []string{
		sound, `{}`, `{"Image":"ghcr.io/mobutoo/sandbox:1"}`, `{"HostConfig":{"Privileged":true}}`,
		strings.Replace(sound, `"HostConfig":{`, `"HostConfig":{"privileged":true,`, 1),
		strings.Replace(sound, `["no-new-privileges"]`, `["no-new-privileges:true","no-new-privileges:false"]`, 1),
		strings.Replace(sound, `"User":"1000:1000"`, `"User":"00"`, 1),
		strings.Replace(sound, `"/tmp":""`, `"/tmp":"noexec,nosuid,exec,suid"`, 1),
		strings.Replace(sound, "/workspaces/a:", "/workspaces/deploy/../../..:", 1),
		strings.Replace(sound, "/opt/javisi/", "//opt/javisi/../javisi/", 1),
		strings.Replace(sound, `"Binds":[`, `"Mounts":[{"Type":"volume","VolumeOptions":{"DriverConfig":{"Options":{"o":"bind","device":"/"}}}}],"Binds":[`, 1),
		strings.Replace(sound, `"Labels":{`, `"Labels":{"vpai.sandbox":"2",`, 1),
		strings.Replace(sound, `"Memory":268435456`, `"Memory":1e300`, 1),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		body, err := decoded(text)
		if err != nil {
			return
		}
		made, err := policy.container(body)
		if err != nil {
			return
		}
		if problem := unsound(made); problem != "" {
			t.Fatalf("%s\n%s", problem, text)
		}
	})
}

// unsound reads what Docker would be given, as Docker reads it: without regard to the case of letters.
func unsound(made object) string {
	text, err := json.Marshal(made)
	if err != nil {
		return err.Error()
	}
	var read struct {
		Image, User string
		Labels      map[string]any
		Volumes     any
		HostConfig  struct {
			Binds, Devices, VolumesFrom, CapAdd, GroupAdd, ExtraHosts, PortBindings, Sysctls, Links  any
			PidMode, IpcMode, UTSMode, UsernsMode, CgroupnsMode, CgroupParent, Runtime, VolumeDriver any
			MaskedPaths, ReadonlyPaths, DeviceCgroupRules, DeviceRequests, StorageOpt, Ulimits, Dns  any
			Privileged, ReadonlyRootfs                                                               bool
			CapDrop, SecurityOpt                                                                     []string
			NetworkMode                                                                              string
			Memory, MemorySwap, PidsLimit, NanoCpus                                                  int64
			Tmpfs                                                                                    map[string]string
			Mounts                                                                                   []struct {
				Type, Source, Target string
				BindOptions          any
				VolumeOptions        struct {
					Subpath      string
					NoCopy       bool
					DriverConfig any
				}
			}
		}
		NetworkingConfig, ExposedPorts any
	}
	if err := json.Unmarshal(text, &read); err != nil {
		return err.Error()
	}
	host := read.HostConfig
	for _, each := range []any{
		host.Binds, host.Devices, host.VolumesFrom, host.CapAdd, host.GroupAdd, host.ExtraHosts, host.PortBindings, host.Sysctls, host.Links,
		host.PidMode, host.IpcMode, host.UTSMode, host.UsernsMode, host.CgroupnsMode, host.CgroupParent, host.Runtime, host.VolumeDriver,
		host.MaskedPaths, host.ReadonlyPaths, host.DeviceCgroupRules, host.DeviceRequests, host.StorageOpt, host.Ulimits,
		read.Volumes, read.NetworkingConfig, read.ExposedPorts,
	} {
		if each != nil {
			return fmt.Sprintf("says %v", each)
		}
	}
	switch {
	case read.Image != policy.Image || read.User != policy.User || read.Labels[labelPrefix] != "1":
		return "image, user or label"
	case host.Privileged || !host.ReadonlyRootfs || len(host.CapDrop) != 1 || host.CapDrop[0] != "ALL":
		return "rights"
	case len(host.SecurityOpt) != 1 || host.SecurityOpt[0] != "no-new-privileges:true":
		return "security options"
	case host.NetworkMode != "none" && host.NetworkMode != "javisi_sandbox" && host.NetworkMode != "javisi_egress":
		return "network"
	case host.Memory < 6*mebibyte || host.Memory > 512*mebibyte || host.MemorySwap != host.Memory:
		return "memory"
	case host.PidsLimit < 1 || host.PidsLimit > 256 || host.NanoCpus < 1 || host.NanoCpus > 1e9:
		return "processes or CPUs"
	}
	for target, options := range host.Tmpfs {
		if !path.IsAbs(target) || path.Clean(target) != target || options != sizeOfTmpfs {
			return "tmpfs " + target
		}
	}
	for _, mount := range host.Mounts {
		name := mount.VolumeOptions.Subpath
		if mount.Type != "volume" || mount.Source != data || mount.BindOptions != nil || mount.VolumeOptions.DriverConfig != nil ||
			name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || !path.IsAbs(mount.Target) || mount.Target == "/" {
			return fmt.Sprintf("mount %+v", mount)
		}
	}
	return ""
}

// FuzzExec is FuzzContainer for what runs in a sandbox.
func FuzzExec(f *testing.F) {
	for _, seed := range []string{
		`{"Cmd":["id"]}`, `{"Cmd":["id"],"User":"0"}`, `{"Cmd":["id"],"User":"1000","Privileged":false}`, `{"privileged":true}`, `{"User":"1000:1000","WorkingDir":"/"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		body, err := decoded(text)
		if err != nil {
			return
		}
		made, err := policy.exec(body)
		if err != nil {
			return
		}
		written, _ := json.Marshal(made)
		var read struct {
			User       string
			Privileged bool
		}
		if err := json.Unmarshal(written, &read); err != nil || read.User != policy.User || read.Privileged {
			t.Fatalf("%v %s", err, written)
		}
	})
}

// FuzzPath sends targets of every form to both ports: what Docker is told is a plain path of the few that are served.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"/images/x%2f..%2f..%2fdistribution/127.0.0.1:5999%2fevil/json", "/containers/json?all=1", "/v1.45/containers/sbx/json", "/images/ghcr.io/mobutoo/sandbox:1/json",
		"/containers/../images/json", "//containers/json", "/containers/sbx%00/json", "/containers/sbx/json?size=1#x", "/images/a/../../b/json", "/v1.45/v1.45/info",
		"/exec/e1/json", "/networks/javisi_backend?verbose=true", "/containers/sbx/logs?follow=1&stdout=1", "/images/%2e%2e/json", "/_ping", "/metrics",
	} {
		f.Add(seed)
	}
	var told atomic.Value
	docker := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		told.Store(request.RequestURI)
		switch path := strings.TrimPrefix(request.URL.Path, apiVersion); {
		case strings.HasPrefix(path, "/containers/") && strings.HasSuffix(path, "/json") && path != "/containers/json":
			fmt.Fprint(writer, `{"Id":"sbx","Config":{"Labels":{"vpai.sandbox":"1"}}}`)
		case strings.HasPrefix(path, "/exec/"):
			fmt.Fprint(writer, `{"ID":"e1","ContainerID":"sbx"}`)
		default:
			fmt.Fprint(writer, `[]`)
		}
	})
	engine := newEngine(serving(f, docker))
	ports := []http.Handler{newQuestions(engine), newOrders(policy, engine, token)}
	f.Fuzz(func(t *testing.T, target string) {
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: x\r\n" + tokenHeader + ": " + token + "\r\n\r\n")))
		if err != nil {
			return
		}
		for _, port := range ports {
			told.Store("")
			port.ServeHTTP(httptest.NewRecorder(), request.Clone(context.Background()))
			asked, _ := told.Load().(string)
			if asked == "" {
				continue
			}
			plain, query, _ := strings.Cut(asked, "?")
			rest, versioned := strings.CutPrefix(plain, apiVersion)
			kind := strings.SplitN(rest, "/", 3)
			if !versioned || path.Clean(plain) != plain || strings.Contains(plain, "%") || strings.Contains(query, "size=") || len(kind) < 2 ||
				!strings.Contains(" _ping version info containers images networks exec ", " "+kind[1]+" ") {
				t.Fatalf("%q became %q", target, asked)
			}
		}
	})
}
