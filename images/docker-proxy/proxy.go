package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// What every request to Docker is made in: the first version that mounts a path below a volume (Docker 26).
	apiVersion  = "/v1.45"
	tokenHeader = "X-Docker-Proxy-Token"
	largestBody = 1 << 20
)

var (
	versionPrefix = regexp.MustCompile(`^/v1\.[0-9]+(/.*)$`)
	identity      = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)
)

// Engine is Docker behind its socket.
type Engine struct {
	dial   func(context.Context) (net.Conn, error)
	client *http.Client
}

func newEngine(socket string) *Engine {
	dial := func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "unix", socket) }
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
	return &Engine{dial: dial, client: &http.Client{Transport: transport}}
}

func (engine *Engine) ask(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://docker"+apiVersion+path, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return engine.client.Do(request)
}

// read asks for JSON; a refusal of Docker's own is handed on.
func (engine *Engine) read(ctx context.Context, path string, into any) error {
	answer, err := engine.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return refuse("Docker answers %s to %s", answer.Status, path)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

// pass asks Docker and gives the client its answer, as it comes.
func (engine *Engine) pass(writer http.ResponseWriter, request *http.Request, path string, body any) error {
	answer, err := engine.ask(request.Context(), request.Method, path, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	for _, name := range []string{"Content-Type", "Api-Version", "Ostype", "Server", "Docker-Experimental"} {
		if value := answer.Header.Get(name); value != "" {
			writer.Header().Set(name, value)
		}
	}
	writer.WriteHeader(answer.StatusCode)
	// Who waits for a container has the answer's head at once, and starts the container only then.
	_ = http.NewResponseController(writer).Flush()
	_, err = io.Copy(flushing{writer}, answer.Body)
	return err
}

type flushing struct{ http.ResponseWriter }

func (writer flushing) Write(part []byte) (int, error) {
	count, err := writer.ResponseWriter.Write(part)
	_ = http.NewResponseController(writer.ResponseWriter).Flush()
	return count, err
}

type handler func(http.ResponseWriter, *http.Request) error

// ServeHTTP takes the version off the path and tells the client why, where something is refused.
func answering(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if match := versionPrefix.FindStringSubmatch(request.URL.Path); match != nil {
			request.URL.Path, request.URL.RawPath = match[1], ""
		}
		mux.ServeHTTP(writer, request)
	})
}

func (handle handler) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	err := handle(writer, request)
	if err == nil {
		return
	}
	status := http.StatusBadGateway
	if refusal := Refusal(""); errors.As(err, &refusal) {
		status = http.StatusForbidden
	}
	slog.Warn("refused", "method", request.Method, "path", request.URL.Path, "from", request.RemoteAddr, "reason", err.Error())
	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(status)
	_ = json.NewEncoder(writer).Encode(object{"message": "docker-proxy: " + err.Error()})
}

func nothingElse(_ http.ResponseWriter, request *http.Request) error {
	return refuse("%s %s is not served here", request.Method, request.URL.Path)
}

// newQuestions is the port that tells what runs, and changes nothing.
func newQuestions(engine *Engine) http.Handler {
	mux := http.NewServeMux()
	pass := handler(func(writer http.ResponseWriter, request *http.Request) error {
		if id := request.PathValue("id"); id != "" && !identity.MatchString(id) {
			return refuse("%q is no name", id)
		}
		return engine.pass(writer, request, request.URL.EscapedPath()+"?"+request.URL.RawQuery, nil)
	})
	for _, path := range []string{"/_ping", "/version", "/info", "/containers/json", "/containers/{id}/json", "/images/json", "/networks", "/networks/{id}"} {
		mux.Handle("GET "+path, pass)
	}
	mux.Handle("GET /metrics", handler(engine.metrics))
	mux.Handle("GET /images/{name...}", handler(func(writer http.ResponseWriter, request *http.Request) error {
		if !strings.HasSuffix(request.PathValue("name"), "/json") {
			return nothingElse(writer, request)
		}
		return pass(writer, request)
	}))
	mux.Handle("/", handler(nothingElse))
	return answering(mux)
}

// Orders is the port that starts and stops sandboxes.
type Orders struct {
	policy Policy
	engine *Engine
	token  string
	// Two starts at once would both find room for one.
	starting sync.Mutex
}

func newOrders(policy Policy, engine *Engine, token string) http.Handler {
	orders := &Orders{policy: policy, engine: engine, token: token}
	mux := http.NewServeMux()
	plain := handler(func(writer http.ResponseWriter, request *http.Request) error {
		return engine.pass(writer, request, request.URL.Path, nil)
	})
	for pattern, handle := range map[string]handler{
		"GET /_ping":                  plain,
		"GET /version":                plain,
		"GET /images/{name...}":       orders.image,
		"GET /containers/json":        orders.list,
		"POST /containers/create":     orders.create,
		"GET /containers/{id}/json":   orders.own("/json"),
		"GET /containers/{id}/logs":   orders.own("/logs"),
		"POST /containers/{id}/start": orders.start,
		"POST /containers/{id}/stop":  orders.own("/stop"),
		"POST /containers/{id}/kill":  orders.own("/kill"),
		"POST /containers/{id}/wait":  orders.own("/wait"),
		"DELETE /containers/{id}":     orders.own(""),
		"POST /containers/{id}/exec":  orders.makeExec,
		"GET /exec/{id}/json":         orders.execution,
		"POST /exec/{id}/start":       orders.startExec,
		"/":                           nothingElse,
	} {
		mux.Handle(pattern, handle)
	}
	served := answering(mux)
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if subtle.ConstantTimeCompare([]byte(request.Header.Get(tokenHeader)), []byte(token)) != 1 {
			handler(func(http.ResponseWriter, *http.Request) error {
				return refuse("the token in %s is missing or wrong", tokenHeader)
			}).
				ServeHTTP(writer, request)
			return
		}
		request.Body = http.MaxBytesReader(writer, request.Body, largestBody)
		served.ServeHTTP(writer, request)
	})
}

func (orders *Orders) image(writer http.ResponseWriter, request *http.Request) error {
	name, isQuestion := strings.CutSuffix(request.PathValue("name"), "/json")
	if !isQuestion || !slices.Contains(orders.policy.Images, name) {
		return refuse("the image %q is none of %s", name, strings.Join(orders.policy.Images, ", "))
	}
	return orders.engine.pass(writer, request, "/images/"+name+"/json", nil)
}

func ours(extra string) string {
	return "filters=" + url.QueryEscape(`{"label":["`+labelPrefix+`=1"]`+extra+`}`)
}

func (orders *Orders) list(writer http.ResponseWriter, request *http.Request) error {
	all := request.URL.Query().Get("all")
	return orders.engine.pass(writer, request, "/containers/json?all="+url.QueryEscape(all)+"&"+ours(""), nil)
}

func (orders *Orders) create(writer http.ResponseWriter, request *http.Request) error {
	name := request.URL.Query().Get("name")
	if !strings.HasPrefix(name, orders.policy.NamePrefix) || !identity.MatchString(name) {
		return refuse("the name %q does not begin with %s: it could be taken for a service's", name, orders.policy.NamePrefix)
	}
	body, err := decoded(request)
	if err != nil {
		return err
	}
	made, err := orders.policy.container(body)
	if err != nil {
		return err
	}
	if err := orders.workspaces(request.Context()); err != nil {
		return err
	}
	return orders.engine.pass(writer, request, "/containers/create?name="+url.QueryEscape(name), made)
}

// workspaces makes the volume that sandboxes mount from; Docker answers the same to a second time.
func (orders *Orders) workspaces(ctx context.Context) error {
	answer, err := orders.engine.ask(ctx, http.MethodPost, "/volumes/create", object{
		"Name": workspaces, "Driver": "local",
		"DriverOpts": object{"type": "none", "o": "bind", "device": orders.policy.BindsBelow},
		"Labels":     object{labelPrefix: "1"},
	})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		return fmt.Errorf("Docker answered %s to the volume %s", answer.Status, workspaces)
	}
	return nil
}

type inspected struct {
	ID     string `json:"Id"`
	Config struct{ Labels map[string]string }
}

// sandbox finds out whether a container was made here; only its full id is used from then on.
func (orders *Orders) sandbox(ctx context.Context, id string) (inspected, error) {
	var found inspected
	if !identity.MatchString(id) {
		return found, refuse("%q is no name of a container", id)
	}
	answer, err := orders.engine.ask(ctx, http.MethodGet, "/containers/"+id+"/json", nil)
	if err != nil {
		return found, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return found, missing(id)
	}
	if err := json.NewDecoder(answer.Body).Decode(&found); err != nil {
		return found, err
	}
	if found.Config.Labels[labelPrefix] != "1" {
		// As if it were not there: which services run is nothing to OpenClaw.
		return found, missing(id)
	}
	return found, nil
}

type missing string

func (id missing) Error() string { return "No such container: " + string(id) }

// own passes an order on when it is about a sandbox.
func (orders *Orders) own(order string) handler {
	return func(writer http.ResponseWriter, request *http.Request) error {
		found, err := orders.sandbox(request.Context(), request.PathValue("id"))
		if err != nil {
			return notFound(writer, err)
		}
		return orders.engine.pass(writer, request, "/containers/"+found.ID+order+"?"+request.URL.RawQuery, nil)
	}
}

// notFound answers as Docker does, for its client to understand.
func notFound(writer http.ResponseWriter, err error) error {
	if id := missing(""); errors.As(err, &id) {
		writer.Header().Set("Content-Type", "application/json")
		writer.WriteHeader(http.StatusNotFound)
		return json.NewEncoder(writer).Encode(object{"message": err.Error()})
	}
	return err
}

// start lets a sandbox run when the memory of those that run leaves room for it.
func (orders *Orders) start(writer http.ResponseWriter, request *http.Request) error {
	orders.starting.Lock()
	defer orders.starting.Unlock()
	found, err := orders.sandbox(request.Context(), request.PathValue("id"))
	if err != nil {
		return notFound(writer, err)
	}
	var running []struct {
		ID     string `json:"Id"`
		Labels map[string]string
	}
	if err := orders.engine.read(request.Context(), "/containers/json?"+ours(`,"status":["running"]`), &running); err != nil {
		return err
	}
	wanted, _ := strconv.ParseInt(found.Config.Labels[labelMemory], 10, 64)
	used := int64(0)
	for _, each := range running {
		if each.ID != found.ID {
			memory, _ := strconv.ParseInt(each.Labels[labelMemory], 10, 64)
			used += memory
		}
	}
	if used+wanted > orders.policy.TotalMemoryMiB {
		return refuse("sandboxes that run hold %d MiB; with %d MiB more they would pass the %d MiB reserved for them: stop one",
			used, wanted, orders.policy.TotalMemoryMiB)
	}
	return orders.engine.pass(writer, request, "/containers/"+found.ID+"/start", nil)
}

func (orders *Orders) makeExec(writer http.ResponseWriter, request *http.Request) error {
	found, err := orders.sandbox(request.Context(), request.PathValue("id"))
	if err != nil {
		return notFound(writer, err)
	}
	body, err := decoded(request)
	if err != nil {
		return err
	}
	made, err := orders.policy.exec(body)
	if err != nil {
		return err
	}
	return orders.engine.pass(writer, request, "/containers/"+found.ID+"/exec", made)
}

// executed finds out whether an exec belongs to a sandbox.
func (orders *Orders) executed(request *http.Request) (string, error) {
	id := request.PathValue("id")
	var found struct{ ID, ContainerID string }
	if !identity.MatchString(id) {
		return "", refuse("%q is no exec", id)
	}
	if err := orders.engine.read(request.Context(), "/exec/"+id+"/json", &found); err != nil {
		return "", err
	}
	_, err := orders.sandbox(request.Context(), found.ContainerID)
	return id, err
}

func (orders *Orders) execution(writer http.ResponseWriter, request *http.Request) error {
	id, err := orders.executed(request)
	if err != nil {
		return notFound(writer, err)
	}
	return orders.engine.pass(writer, request, "/exec/"+id+"/json", nil)
}

// startExec joins the client's connection with Docker's: what follows the request is the program's input and output.
func (orders *Orders) startExec(writer http.ResponseWriter, request *http.Request) error {
	// A client that has no input ends its direction at once: for Go's server that is a client who has left.
	request = request.WithContext(context.WithoutCancel(request.Context()))
	id, err := orders.executed(request)
	if err != nil {
		return notFound(writer, err)
	}
	body, err := decoded(request)
	if err != nil {
		return err
	}
	text, err := json.Marshal(object{"Detach": body["Detach"] == true, "Tty": body["Tty"] == true})
	if err != nil {
		return err
	}
	if body["Detach"] == true {
		return orders.engine.pass(writer, request, "/exec/"+id+"/start", json.RawMessage(text))
	}
	docker, err := orders.engine.dial(request.Context())
	if err != nil {
		return err
	}
	defer docker.Close()
	client, buffered, err := http.NewResponseController(writer).Hijack()
	if err != nil {
		return err
	}
	defer client.Close()
	head := "POST %s/exec/%s/start HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n" +
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
	if _, err := fmt.Fprintf(docker, head, apiVersion, id, len(text), text); err != nil {
		return nil
	}
	join(client, buffered.Reader, docker)
	return nil
}

// join copies both ways; the end of one direction is told, and the other goes on until its own end.
func join(client net.Conn, fromClient io.Reader, docker net.Conn) {
	go func() {
		_, _ = io.Copy(docker, fromClient)
		if half, ok := docker.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	_, _ = io.Copy(client, docker)
}

func decoded(request *http.Request) (object, error) {
	var body object
	if err := json.NewDecoder(request.Body).Decode(&body); err != nil {
		return nil, refuse("the body is no JSON object: %v", err)
	}
	// What is left of the body would otherwise reach a program as its input.
	_, err := io.Copy(io.Discard, request.Body)
	return body, err
}
