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
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var policy = Policy{
	Image: "ghcr.io/mobutoo/sandbox:1", Archive: "/sandbox.tar", NamePrefix: "openclaw-sbx-",
	Networks: []Network{
		{Name: "javisi_sandbox", Bridge: "sandbox", Range: "10.117.0.0/24", Gateway: "10.117.0.1", Closed: true},
		{Name: "javisi_egress", Bridge: "egress", Range: "10.117.1.0/24", Gateway: "10.117.1.1"},
	},
	Workspaces: "/opt/javisi/data/workspaces",
	AtMost:     2, MaxMemoryMiB: 512, MaxCPUs: 1, MaxPids: 256, User: "1000:1000",
}

const token = "a-token-of-enough-characters"

// What `docker create` of Docker 26 sends for OpenClaw's arguments, its many empty fields included.
const sound = `{"Hostname":"","Domainname":"","User":"1000:1000","AttachStdin":false,"AttachStdout":true,"AttachStderr":true,
	"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":["LANG=C.UTF-8"],"Cmd":["sleep","infinity"],"Image":"ghcr.io/mobutoo/sandbox:1",
	"Volumes":{},"WorkingDir":"/workspace","Entrypoint":null,"OnBuild":null,"Labels":{"openclaw.sandbox":"1"},
	"HostConfig":{"Binds":["/opt/javisi/data/workspaces/a:/workspace:z"],"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},
	"NetworkMode":"javisi_sandbox","PortBindings":{},"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":false,"VolumeDriver":"",
	"VolumesFrom":null,"ConsoleSize":[0,0],"CapAdd":null,"CapDrop":["ALL"],"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],
	"ExtraHosts":null,"GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,
	"PublishAllPorts":false,"ReadonlyRootfs":true,"SecurityOpt":["no-new-privileges"],"Tmpfs":{"/tmp":""},"UTSMode":"","UsernsMode":"",
	"ShmSize":0,"Isolation":"","CpuShares":0,"Memory":268435456,"NanoCpus":1000000000,"CgroupParent":"","BlkioWeight":0,"Devices":[],
	"MemorySwap":536870912,"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":256,"Ulimits":[],"MaskedPaths":null,"ReadonlyPaths":null},
	"NetworkingConfig":{"EndpointsConfig":{"javisi_sandbox":{"IPAMConfig":null,"Links":null,"Aliases":null,"NetworkID":""}}}}`

// fakeEngine is Docker with one sandbox (sbx), one service (db) and an exec of each; it remembers what it was told.
type fakeEngine struct {
	sync.Mutex
	told   []string
	bodies map[string]string
	there  string
	volume string
}

func (engine *fakeEngine) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	engine.Lock()
	path := strings.TrimPrefix(request.URL.Path, apiVersion)
	engine.told = append(engine.told, request.Method+" "+path)
	engine.bodies[path] = string(body)
	engine.Unlock()
	answers := map[string]string{
		"/_ping":                    "OK",
		"/containers/sbx/json":      `{"Id":"full-sbx","Config":{"Labels":{"vpai.sandbox":"1"}}}`,
		"/containers/db/json":       `{"Id":"full-db","Config":{"Labels":{"vpai.service":"postgresql"}}}`,
		"/containers/full/json":     `{"Id":"full","ExecIDs":["x"` + strings.Repeat(`,"x"`, mostExecs-1) + `],"Config":{"Labels":{"vpai.sandbox":"1"}}}`,
		"/containers/full-sbx/json": `{"Id":"full-sbx","Config":{"Labels":{"vpai.sandbox":"1"}}}`,
		"/containers/full-db/json":  `{"Id":"full-db","Config":{"Labels":{}}}`,
		"/containers/json":          engine.there,
		"/exec/e1/json":             `{"ID":"e1","ContainerID":"full-sbx"}`,
		"/exec/e2/json":             `{"ID":"e2","ContainerID":"full-db"}`,
	}
	switch {
	case path == "/volumes/create":
		// As Docker 26 answers for a volume that is there, after a restart: without its options.
		writer.WriteHeader(http.StatusCreated)
		fmt.Fprint(writer, `{"Options":{}}`)
	case path == "/volumes/"+data:
		fmt.Fprint(writer, engine.volume)
	case path == "/containers/create":
		writer.WriteHeader(http.StatusCreated)
	case path == "/exec/e1/start":
		connection, buffered, _ := writer.(http.Hijacker).Hijack()
		defer connection.Close()
		fmt.Fprint(connection, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		input, _ := io.ReadAll(buffered)
		fmt.Fprintf(connection, "got %q", input)
	case path == "/containers/full-sbx/wait":
		_ = http.NewResponseController(writer).Flush()
		<-request.Context().Done()
	case answers[path] != "":
		fmt.Fprint(writer, answers[path])
	case request.Method == http.MethodGet:
		writer.WriteHeader(http.StatusNotFound)
	default:
		writer.WriteHeader(http.StatusNoContent)
	}
}

func (engine *fakeEngine) wasTold(order string) bool {
	engine.Lock()
	defer engine.Unlock()
	for _, each := range engine.told {
		if each == order {
			return true
		}
	}
	return false
}

// start gives a fake Docker, and the proxy's two ports in front of it.
func start(t *testing.T) (*fakeEngine, *httptest.Server, *httptest.Server) {
	fake := &fakeEngine{
		bodies: map[string]string{}, there: `[]`,
		volume: `{"Options":{"type":"none","o":"bind","device":"/opt/javisi/data/workspaces"}}`,
	}
	socket := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	docker := &http.Server{Handler: fake}
	go docker.Serve(listener)
	orders := httptest.NewServer(newOrders(policy, newEngine(socket), token))
	questions := httptest.NewServer(newQuestions(newEngine(socket)))
	t.Cleanup(func() { orders.Close(); questions.Close(); docker.Close() })
	return fake, orders, questions
}

func send(t *testing.T, server *httptest.Server, method, path, body, withToken string) (int, string) {
	request, _ := http.NewRequest(method, server.URL+path, strings.NewReader(body))
	request.Header.Set(tokenHeader, withToken)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text)
}

func TestASoundSandboxIsMadeFromABodyWrittenAnew(t *testing.T) {
	fake, orders, _ := start(t)
	status, text := send(t, orders, "POST", "/v1.41/containers/create?name=openclaw-sbx-a&platform=", sound, token)
	if status != http.StatusCreated {
		t.Fatalf("%d %s", status, text)
	}
	var made struct {
		User, Image string
		Labels      map[string]string
		HostConfig  map[string]any
	}
	if err := json.Unmarshal([]byte(fake.bodies["/containers/create"]), &made); err != nil {
		t.Fatal(err)
	}
	host, _ := json.Marshal(made.HostConfig)
	want := `{"CapDrop":["ALL"],"Dns":["10.117.0.1"],"DnsOptions":["ndots:1"],"DnsSearch":["javisi_sandbox"],"LogConfig":{"Config":{"max-file":"1","max-size":"10m"},"Type":"json-file"},"Memory":268435456,` +
		`"MemorySwap":268435456,"Mounts":[{"ReadOnly":false,"Source":"vpai-workspaces","Target":"/workspace","Type":"volume",` +
		`"VolumeOptions":{"NoCopy":true,"Subpath":"a"}}],"NanoCpus":1000000000,"NetworkMode":"javisi_sandbox","OomScoreAdj":500,"PidsLimit":256,` +
		`"ReadonlyRootfs":true,"SecurityOpt":["no-new-privileges:true"],"Tmpfs":{"/tmp":"size=64m"}}`
	if string(host) != want {
		t.Errorf("HostConfig\n got %s\nwant %s", host, want)
	}
	if made.User != "1000:1000" || made.Labels["vpai.sandbox"] != "1" {
		t.Errorf("%+v", made)
	}
	if !strings.Contains(fake.bodies["/volumes/create"], `"device":"/opt/javisi/data/workspaces"`) {
		t.Errorf("volume: %s", fake.bodies["/volumes/create"])
	}
}

func TestWhatASandboxMayNotBeIsRefusedWithTheReason(t *testing.T) {
	host := func(change string) string {
		return strings.Replace(sound, `"HostConfig":{`, `"HostConfig":{`+change+`,`, 1)
	}
	bind := func(bind string) string {
		return strings.Replace(sound, "/opt/javisi/data/workspaces/a:/workspace:z", bind, 1)
	}
	cases := map[string]struct{ body, told string }{
		"another image":       {strings.Replace(sound, "sandbox:1", "other:1", 1), "Image"},
		"root":                {strings.Replace(sound, `"User":"1000:1000"`, `"User":"0"`, 1), "User"},
		"privileged":          {host(`"privileged":true`), "HostConfig.privileged"},
		"Privileged":          {strings.Replace(sound, `"Privileged":false`, `"Privileged":true`, 1), "HostConfig.Privileged"},
		"two of one key":      {host(`"Privileged":false`) + ``, ""},
		"capability":          {strings.Replace(sound, `"CapAdd":null`, `"CapAdd":["SYS_ADMIN"]`, 1), "HostConfig.CapAdd"},
		"host processes":      {strings.Replace(sound, `"PidMode":""`, `"PidMode":"host"`, 1), "HostConfig.PidMode"},
		"host IPC":            {strings.Replace(sound, `"IpcMode":""`, `"IpcMode":"host"`, 1), "IPC namespace host"},
		"host users":          {strings.Replace(sound, `"UsernsMode":""`, `"UsernsMode":"host"`, 1), "HostConfig.UsernsMode"},
		"host UTS":            {strings.Replace(sound, `"UTSMode":""`, `"UTSMode":"host"`, 1), "HostConfig.UTSMode"},
		"host control groups": {strings.Replace(sound, `"CgroupnsMode":""`, `"CgroupnsMode":"host"`, 1), "control group namespace host"},
		"host network":        {strings.Replace(sound, `"NetworkMode":"javisi_sandbox"`, `"NetworkMode":"host"`, 1), "NetworkMode"},
		"another's network":   {strings.Replace(sound, `"NetworkMode":"javisi_sandbox"`, `"NetworkMode":"container:db"`, 1), "NetworkMode"},
		"no network named":    {strings.Replace(sound, `"NetworkMode":"javisi_sandbox"`, `"NetworkMode":""`, 1), "no network"},
		"an alias":            {strings.Replace(sound, `"Aliases":null`, `"Aliases":["postgresql"]`, 1), "Aliases"},
		"an address":          {strings.Replace(sound, `"IPAMConfig":null`, `"IPAMConfig":{"IPv4Address":"172.20.2.2"}`, 1), "IPv4Address"},
		"the socket":          {bind("/var/run/docker.sock:/var/run/docker.sock"), "from outside of"},
		"a way up":            {bind("/opt/javisi/data/workspaces/../../../redis:/w"), "from outside of"},
		"one in another's":    {bind("/opt/javisi/data/workspaces/a/b:/w"), "from outside of"},
		"OpenClaw's own":      {bind("/opt/javisi/data/workspaces:/w"), "from outside of"},
		"a target of two":     {bind("/opt/javisi/data/workspaces/a:/w,x"), "no absolute path"},
		"a large tmpfs":       {strings.Replace(sound, `"/tmp":""`, `"/tmp":"size=64g"`, 1), "tmpfs"},
		"a tmpfs for suid":    {strings.Replace(sound, `"/tmp":""`, `"/tmp":"exec,suid,dev"`, 1), "tmpfs"},
		"two bodies":          {sound + sound, "more than one"},
		"all workspaces":      {bind("/opt/javisi/data/workspaces:/w"), "from outside of"},
		"a sibling":           {bind("/opt/javisi/data/workspaces-2/a:/w"), "from outside of"},
		"a named volume":      {bind("data:/w"), "from outside of"},
		"propagation":         {bind("/opt/javisi/data/workspaces/a:/w:rshared"), "mount option"},
		"over the root":       {bind("/opt/javisi/data/workspaces/a:/"), "no absolute path"},
		"Mounts":              {host(`"Mounts":[{"Type":"bind","Source":"/","Target":"/host"}]`), "HostConfig.Mounts"},
		"volumes from":        {strings.Replace(sound, `"VolumesFrom":null`, `"VolumesFrom":["db"]`, 1), "HostConfig.VolumesFrom"},
		"a device":            {strings.Replace(sound, `"Devices":[]`, `"Devices":[{"PathOnHost":"/dev/sda"}]`, 1), "HostConfig.Devices"},
		"a published port":    {strings.Replace(sound, `"PortBindings":{}`, `"PortBindings":{"80/tcp":[{"HostPort":"80"}]}`, 1), "HostConfig.PortBindings"},
		"seccomp off":         {strings.Replace(sound, `["no-new-privileges"]`, `["seccomp=unconfined"]`, 1), "security option"},
		"too much memory":     {strings.Replace(sound, `"Memory":268435456`, `"Memory":1073741824`, 1), "memory must be"},
		"no memory limit":     {strings.Replace(sound, `"Memory":268435456`, `"Memory":0`, 1), "no memory limit"},
		"too many processes":  {strings.Replace(sound, `"PidsLimit":256`, `"PidsLimit":9999`, 1), "PidsLimit"},
		"unlimited processes": {strings.Replace(sound, `"PidsLimit":256`, `"PidsLimit":-1`, 1), "PidsLimit"},
		"too many CPUs":       {strings.Replace(sound, `"NanoCpus":1000000000`, `"NanoCpus":4000000000`, 1), "NanoCpus"},
		"restarted":           {strings.Replace(sound, `"Name":"no"`, `"Name":"always"`, 1), "not restarted"},
		"our label":           {strings.Replace(sound, `"openclaw.sandbox":"1"`, `"vpai.service":"postgresql"`, 1), "is ours"},
		"another runtime":     {host(`"Runtime":"other"`), "HostConfig.Runtime"},
		"a host name":         {strings.Replace(sound, `"ExtraHosts":null`, `"ExtraHosts":["api.telegram.org:10.0.0.1"]`, 1), "HostConfig.ExtraHosts"},
		"a kernel setting":    {host(`"Sysctls":{"kernel.shmmax":"1"}`), "HostConfig.Sysctls"},
		"a log elsewhere":     {strings.Replace(sound, `"Type":"","Config":{}`, `"Type":"syslog","Config":{}`, 1), "Type"},
		"no JSON":             {"{", "no JSON object"},
	}
	fake, orders, _ := start(t)
	for name, each := range cases {
		status, text := send(t, orders, "POST", "/containers/create?name=openclaw-sbx-a", each.body, token)
		if each.told == "" {
			continue
		}
		if status != http.StatusForbidden || !strings.Contains(text, each.told) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	for _, name := range []string{"", "javisi_postgresql", "openclaw-sbx-a/../b"} {
		if status, text := send(t, orders, "POST", "/containers/create?name="+name, sound, token); status != http.StatusForbidden {
			t.Errorf("name %q: %d %s", name, status, text)
		}
	}
	if !fake.wasTold("POST /containers/create") {
		t.Error("the case that says nothing harmful did not reach Docker: the others prove nothing")
	}
}

func TestOnlySandboxesAreSeenAndTouched(t *testing.T) {
	fake, orders, _ := start(t)
	for _, order := range []string{"GET %s/json", "GET %s/logs", "POST %s/start", "POST %s/stop", "POST %s/kill", "POST %s/exec", "DELETE %s"} {
		method, path, _ := strings.Cut(order, " ")
		if status, text := send(t, orders, method, fmt.Sprintf(path, "/containers/db"), "{}", token); status != http.StatusNotFound {
			t.Errorf("%s of a service: %d %s", order, status, text)
		}
		if status, text := send(t, orders, method, fmt.Sprintf(path, "/v1.45/containers/sbx"), "{}", token); status >= 300 && order != "GET %s/logs" {
			t.Errorf("%s of a sandbox: %d %s", order, status, text)
		}
	}
	for _, told := range fake.told {
		if strings.Contains(told, "full-db") {
			t.Errorf("Docker was told %s", told)
		}
	}
	if !fake.wasTold("DELETE /containers/full-sbx") {
		t.Error("the sandbox was not removed under its full id")
	}
	if status, _ := send(t, orders, "GET", "/containers/json?all=1&filters=%7B%7D", "", token); status != http.StatusOK {
		t.Error(status)
	}
}

// docker run waits before it starts: without the answer's head it would never start anything.
func TestWhoWaitsIsAnsweredBeforeTheEnd(t *testing.T) {
	_, orders, _ := start(t)
	if status, _ := send(t, orders, "POST", "/containers/db/wait", "", token); status != http.StatusNotFound {
		t.Errorf("of a service: %d", status)
	}
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	request, _ := http.NewRequestWithContext(ctx, http.MethodPost, orders.URL+"/containers/sbx/wait?condition=next-exit", nil)
	request.Header.Set(tokenHeader, token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}

func TestEverythingElseOfDockerIsRefused(t *testing.T) {
	fake, orders, questions := start(t)
	for _, order := range []string{
		"POST /images/create?fromImage=x", "POST /build", "GET /images/other:1/json", "POST /volumes/create", "GET /volumes", "POST /networks/create",
		"POST /networks/javisi_backend/connect", "POST /containers/sbx/update", "POST /containers/sbx/rename?name=db", "PUT /containers/sbx/archive",
		"POST /containers/sbx/attach", "DELETE /containers/sbx?link=1", "GET /containers/sbx/json?size=1", "POST /containers/sbx/start?checkpoint=x",
		"GET /containers/sbx%2f..%2fdb/json", "POST /containers/sbx/../db/start", "POST //containers/sbx/start", "GET /exec/e/json", "GET /info", "GET /events", "POST /swarm/init", "POST /plugins/pull", "POST /auth", "GET /secrets", "GET /exec/e2/json", "POST /exec/e2/start",
	} {
		method, path, _ := strings.Cut(order, " ")
		if status, text := send(t, orders, method, path, "{}", token); status != http.StatusForbidden && status != http.StatusNotFound {
			t.Errorf("orders: %s: %d %s", order, status, text)
		}
	}
	for _, order := range []string{"POST /containers/create", "POST /containers/sbx/start", "DELETE /containers/sbx", "GET /containers/sbx/logs", "GET /containers/sbx/archive", "POST /exec/e1/start", "GET /images/x/get",
		"GET /images/x%2f..%2f..%2fdistribution/127.0.0.1:5999%2fevil/json", "GET /images/x/../../distribution/y/json", "GET /v1.45/images/x%2fjson",
		"GET /images/%2e%2e/containers/json", "GET /images/x/json?manifests=1", "GET /containers/json?size=1", "GET /containers/json?all=1&all=1", "GET /containers/%64b/json",
	} {
		method, path, _ := strings.Cut(order, " ")
		if status, text := send(t, questions, method, path, "{}", ""); status != http.StatusForbidden {
			t.Errorf("questions: %s: %d %s", order, status, text)
		}
	}
	for _, told := range fake.told {
		if !strings.HasPrefix(told, "GET ") {
			t.Errorf("Docker was told %s", told)
		}
	}
}

func TestNothingIsDoneWithoutTheToken(t *testing.T) {
	fake, orders, _ := start(t)
	for _, wrong := range []string{"", token + "x"} {
		if status, text := send(t, orders, "GET", "/_ping", "", wrong); status != http.StatusForbidden || !strings.Contains(text, "token") {
			t.Errorf("%q: %d %s", wrong, status, text)
		}
	}
	if len(fake.told) != 0 {
		t.Errorf("Docker was told %v", fake.told)
	}
}

func TestQuestionsAreAnsweredToEverybody(t *testing.T) {
	_, _, questions := start(t)
	for _, path := range []string{"/_ping", "/v1.45/containers/json", "/containers/db/json"} {
		if status, text := send(t, questions, "GET", path, "", ""); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

func TestOfSandboxesThereAreNeverMoreThanCounted(t *testing.T) {
	fake, orders, _ := start(t)
	create := func() (int, string) {
		return send(t, orders, "POST", "/containers/create?name=openclaw-sbx-a", sound, token)
	}
	run := func() (int, string) { return send(t, orders, "POST", "/containers/sbx/start", "", token) }
	for _, each := range []struct {
		there         string
		create, start int
	}{
		{`[]`, 201, 204},
		{`[{"Id":"x","State":"running"}]`, 201, 204},
		{`[{"Id":"x","State":"running"},{"Id":"full-sbx","State":"created"}]`, 403, 204},
		{`[{"Id":"x","State":"exited"},{"Id":"y","State":"dead"},{"Id":"full-sbx","State":"created"}]`, 403, 204},
		{`[{"Id":"x","State":"running"},{"Id":"y","State":"running"}]`, 403, 403},
		{`[{"Id":"x","State":"paused"},{"Id":"y","State":"a state of a later Docker"}]`, 403, 403},
	} {
		fake.there = each.there
		if status, text := create(); status != each.create {
			t.Errorf("%s: create: %d %s", each.there, status, text)
		}
		if status, text := run(); status != each.start {
			t.Errorf("%s: start: %d %s", each.there, status, text)
		}
	}
}

func TestAVolumeOfAnotherMakingIsNotMounted(t *testing.T) {
	fake, orders, _ := start(t)
	fake.volume = `{"Options":{"type":"none","o":"bind","device":"/"}}`
	status, text := send(t, orders, "POST", "/containers/create?name=openclaw-sbx-a", sound, token)
	if status != http.StatusBadGateway || !strings.Contains(text, "restart the sandboxes") || fake.wasTold("POST /containers/create") {
		t.Errorf("%d %s", status, text)
	}
}

func TestAnExecIsNeverRootNorPrivileged(t *testing.T) {
	fake, orders, _ := start(t)
	for _, body := range []string{`{"Cmd":["id"],"User":"root"}`, `{"Cmd":["id"],"User":"0:0"}`, `{"Cmd":["id"],"Privileged":true}`, `{"Cmd":["id"],"privileged":true}`} {
		if status, text := send(t, orders, "POST", "/containers/sbx/exec", body, token); status != http.StatusForbidden {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	send(t, orders, "POST", "/containers/sbx/exec", `{"Cmd":["id"],"User":"","Privileged":false,"AttachStdin":true}`, token)
	if body := fake.bodies["/containers/full-sbx/exec"]; body != `{"AttachStdin":true,"Cmd":["id"],"User":"1000:1000"}` {
		t.Errorf("Docker was told %s", body)
	}
}

func TestProgramsOfASandboxAreCounted(t *testing.T) {
	_, orders, _ := start(t)
	if status, text := send(t, orders, "POST", "/containers/full/exec", `{"Cmd":["id"]}`, token); status != http.StatusForbidden || !strings.Contains(text, "128") {
		t.Errorf("%d %s", status, text)
	}
}

func TestAnExecsInputEndsAndItsOutputStillArrives(t *testing.T) {
	_, orders, _ := start(t)
	connection, err := net.Dial("tcp", strings.TrimPrefix(orders.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	body := "{\"Detach\":false,\"Tty\":false}\n"
	fmt.Fprintf(connection, "POST /v1.45/exec/e1/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%sinput",
		tokenHeader, token, len(body), body)
	connection.(*net.TCPConn).CloseWrite()
	reader := bufio.NewReader(connection)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", answer, err)
	}
	if output, _ := io.ReadAll(reader); string(output) != `got "input"` {
		t.Errorf("%s", output)
	}
}

func TestAPolicyThatLeavesALimitOutIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.json")
	for text, told := range map[string]string{
		`{"image":"x:1"}`: "every limit must be set", `{`: "unexpected end", ``: "unexpected end",
		`{"image":"x:1","archive":"/a","name_prefix":"a","networks":[{"name":"n","bridge":"b"}],"workspaces":"d/","at_most":1,` +
			`"max_memory_mib":1,"max_cpus":1,"max_pids":1,"user":"1:1"}`: "workspaces must be a directory",
	} {
		os.WriteFile(file, []byte(text), 0o600)
		if _, err := readPolicy(file); err == nil || !strings.Contains(err.Error(), told) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
