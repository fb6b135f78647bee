package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// What every request to Docker is made in: the first version that mounts a path below a volume (Docker 26).
	apiVersion  = "/v1.45"
	tokenHeader = "X-Docker-Proxy-Token"
	// A command with its environment; files go into a sandbox by an exec's input, which is no body.
	largestBody = 256 << 10
	bodyWithin  = 10 * time.Second
	// What one client may have in hand: of questions, each makes Docker walk through all that it has.
	mostQuestions = 4
	// Of one sandbox, started or not: Docker remembers each for as long as the sandbox is there.
	mostExecs = 128
)

var (
	versionPrefix = regexp.MustCompile(`^/v1\.[0-9]{1,3}(/.*)$`)
	identity      = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)
	// Docker's names of images (distribution/reference, regexp.go), without what they need no room for here.
	imageName = regexp.MustCompile(`^[a-zA-Z0-9]+(?:[._:@/-]{1,2}[a-zA-Z0-9]+)*$`)
)

// What a question may add to its path: `size` is none of it, for Docker would then measure every file of every container.
var (
	asked = map[string][]string{
		"/containers/json": {"all", "filters", "limit"}, "/images/json": {"all", "digests", "filters"},
		"/networks": {"filters"}, "/networks/{id}": {"scope", "verbose"},
	}
	ordered = map[string][]string{
		"":      {"force", "v"},
		"/json": {}, "/kill": {"signal"}, "/start": {}, "/stop": {"signal", "t"}, "/wait": {"condition"},
		"/logs": {"details", "follow", "since", "stderr", "stdout", "tail", "timestamps", "until"},
	}
)

// Engine is Docker behind its socket.
type Engine struct {
	dial   func(context.Context) (net.Conn, error)
	client *http.Client
}

func newEngine(socket string) *Engine {
	dial := func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "unix", socket) }
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
	// Where Docker sends us elsewhere it has understood another path than we.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Engine{dial: dial, client: &http.Client{Transport: transport, CheckRedirect: stay}}
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
	return hand(writer, answer)
}

// hand gives the client Docker's answer, as it comes.
func hand(writer http.ResponseWriter, answer *http.Response) error {
	defer answer.Body.Close()
	if answer.StatusCode/100 == 3 && answer.StatusCode != http.StatusNotModified {
		return refuse("Docker sends %s elsewhere: the path was not a plain one", answer.Request.URL.Path)
	}
	for _, name := range []string{"Content-Type", "Api-Version", "Ostype", "Server", "Docker-Experimental"} {
		if value := answer.Header.Get(name); value != "" {
			writer.Header().Set(name, value)
		}
	}
	writer.WriteHeader(answer.StatusCode)
	// Who waits for a container has the answer's head at once, and starts the container only then.
	_ = http.NewResponseController(writer).Flush()
	// The head is written: what ends early now can only be cut off.
	_, _ = io.Copy(flushing{writer}, answer.Body)
	return nil
}

type flushing struct{ http.ResponseWriter }

func (writer flushing) Write(part []byte) (int, error) {
	count, err := writer.ResponseWriter.Write(part)
	_ = http.NewResponseController(writer.ResponseWriter).Flush()
	return count, err
}

type handler func(http.ResponseWriter, *http.Request) error

// answering takes the version off the path, and refuses a path that somebody could read in two ways.
func answering(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if request.URL.RawPath != "" || path.Clean(request.URL.Path) != request.URL.Path {
			handler(func(http.ResponseWriter, *http.Request) error {
				return refuse("the path %q is not a plain one: write it without %%2f, .. and //", short(request.URL.EscapedPath()))
			}).ServeHTTP(writer, request)
			return
		}
		if match := versionPrefix.FindStringSubmatch(request.URL.Path); match != nil {
			request.URL.Path = match[1]
		}
		mux.ServeHTTP(writer, request)
	})
}

// ServeHTTP tells the client why, where something is refused.
func (handle handler) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	err := handle(writer, request)
	if err == nil {
		return
	}
	status := http.StatusBadGateway
	if refusal := Refusal(""); errors.As(err, &refusal) {
		status = http.StatusForbidden
	}
	slog.Warn("refused", "method", request.Method, "path", short(request.URL.Path), "from", request.RemoteAddr, "reason", err.Error())
	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(status)
	_ = json.NewEncoder(writer).Encode(object{"message": "docker-proxy: " + err.Error()})
}

func short(text string) string { return text[:min(len(text), 200)] }

func nothingElse(_ http.ResponseWriter, request *http.Request) error {
	return refuse("%s %s is not served here", short(request.Method), short(request.URL.Path))
}

// query writes anew what a request may add to its path.
func query(request *http.Request, allowed []string) (string, error) {
	given, err := url.ParseQuery(request.URL.RawQuery)
	if err != nil {
		return "", refuse("the query is none: %v", err)
	}
	for name, values := range given {
		if isEmpty(values[0]) && len(values) == 1 {
			delete(given, name)
		} else if !slices.Contains(allowed, name) || len(values) != 1 {
			return "", refuse("%s=%s is not served here", short(name), short(strings.Join(values, ",")))
		}
	}
	if len(given) == 0 {
		return "", nil
	}
	return "?" + given.Encode(), nil
}

// newQuestions is the port that tells what runs, and changes nothing.
func newQuestions(engine *Engine) http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"/_ping", "/version", "/info", "/containers/json", "/containers/{id}/json", "/images/json", "/networks", "/networks/{id}"} {
		mux.Handle("GET "+path, handler(func(writer http.ResponseWriter, request *http.Request) error {
			if id := request.PathValue("id"); id != "" && !identity.MatchString(id) {
				return refuse("%q is no name", short(id))
			}
			added, err := query(request, asked[path])
			if err != nil {
				return err
			}
			return engine.pass(writer, request, request.URL.Path+added, nil)
		}))
	}
	mux.Handle("GET /metrics", handler(engine.metrics))
	mux.Handle("GET /images/{name...}", handler(func(writer http.ResponseWriter, request *http.Request) error {
		name, isQuestion := strings.CutSuffix(request.PathValue("name"), "/json")
		if !isQuestion || !imageName.MatchString(name) {
			return nothingElse(writer, request)
		}
		if _, err := query(request, nil); err != nil {
			return err
		}
		return engine.pass(writer, request, "/images/"+name+"/json", nil)
	}))
	mux.Handle("/", handler(nothingElse))
	return sharing(answering(mux), mostQuestions)
}

// sharing lets one address have so many requests in hand, and refuses it more.
func sharing(served http.Handler, most int) http.Handler {
	var mutex sync.Mutex
	inHand := map[string]int{}
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		from := addressOf(request.RemoteAddr)
		mutex.Lock()
		tooMany := inHand[from] >= most
		if !tooMany {
			inHand[from]++
		}
		mutex.Unlock()
		if tooMany {
			writer.Header().Set("Retry-After", "1")
			http.Error(writer, "docker-proxy: too many questions at once", http.StatusTooManyRequests)
			return
		}
		defer func() {
			mutex.Lock()
			defer mutex.Unlock()
			if inHand[from]--; inHand[from] == 0 {
				delete(inHand, from)
			}
		}()
		served.ServeHTTP(writer, request)
	})
}

// Orders is the port that starts and stops sandboxes.
type Orders struct {
	policy Policy
	engine *Engine
	token  string
	// Two at once would both find room for one, and bodies are taken apart one after another: that takes much more memory
	// than their bytes.
	making, running, entering sync.Mutex
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
			}).ServeHTTP(writer, request)
			return
		}
		request.Body = http.MaxBytesReader(writer, request.Body, largestBody)
		served.ServeHTTP(writer, request)
	})
}

func (orders *Orders) image(writer http.ResponseWriter, request *http.Request) error {
	name, isQuestion := strings.CutSuffix(request.PathValue("name"), "/json")
	if !isQuestion || name != orders.policy.Image {
		return refuse("the image %q is not %s", name, orders.policy.Image)
	}
	return orders.engine.pass(writer, request, "/images/"+name+"/json", nil)
}

var ours = "filters=" + url.QueryEscape(`{"label":["`+labelPrefix+`=1"]}`)

func (orders *Orders) list(writer http.ResponseWriter, request *http.Request) error {
	all := request.URL.Query().Get("all")
	return orders.engine.pass(writer, request, "/containers/json?all="+url.QueryEscape(all)+"&"+ours, nil)
}

func (orders *Orders) create(writer http.ResponseWriter, request *http.Request) error {
	name := request.URL.Query().Get("name")
	if !strings.HasPrefix(name, orders.policy.NamePrefix) || !identity.MatchString(name) {
		return refuse("the name %q does not begin with %s: it could be taken for a service's", name, orders.policy.NamePrefix)
	}
	text, err := whole(writer, request)
	if err != nil {
		return err
	}
	orders.making.Lock()
	defer orders.making.Unlock()
	request, err = toItsEnd(request)
	if err != nil {
		return err
	}
	body, err := decoded(text)
	if err != nil {
		return err
	}
	made, err := orders.policy.container(body)
	if err != nil {
		return err
	}
	there, err := orders.sandboxes(request.Context())
	if err != nil {
		return err
	}
	if len(there) >= orders.policy.AtMost {
		return refuse("there are %d sandboxes, running or not, and %d are allowed: remove one", len(there), orders.policy.AtMost)
	}
	if err := orders.volume(request.Context()); err != nil {
		return err
	}
	return orders.engine.pass(writer, request, "/containers/create?name="+url.QueryEscape(name), made)
}

// toItsEnd is the request of a client who is still there, no longer ended by the client's leaving: what was asked of
// Docker goes on without the client too, and who counts next must count it.
func toItsEnd(request *http.Request) (*http.Request, error) {
	if err := request.Context().Err(); err != nil {
		return request, err
	}
	return request.WithContext(context.WithoutCancel(request.Context())), nil
}

// volume makes the volume that sandboxes mount from. Docker answers with the one there is, whatever it was made of.
func (orders *Orders) volume(ctx context.Context) error {
	options := map[string]string{"type": "none", "o": "bind", "device": orders.policy.Workspaces}
	answer, err := orders.engine.ask(ctx, http.MethodPost, "/volumes/create", object{
		"Name": data, "Driver": "local", "DriverOpts": options, "Labels": object{labelPrefix: "1"},
	})
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		return fmt.Errorf("Docker answered %s to the volume %s", answer.Status, data)
	}
	// Asked for by itself: after a restart Docker 26 answers a create of a volume that is there without its options (seen in the lab).
	var made struct{ Options map[string]string }
	if err := orders.engine.read(ctx, "/volumes/"+data, &made); err != nil {
		return err
	}
	if !maps.Equal(made.Options, options) {
		return fmt.Errorf("there is a volume %s with the options %v instead of %v: restart the sandboxes", data, made.Options, options)
	}
	return nil
}

// sandboxes are all that were made here, running or not.
func (orders *Orders) sandboxes(ctx context.Context) ([]counted, error) {
	var found []counted
	err := orders.engine.read(ctx, "/containers/json?all=1&"+ours, &found)
	return found, err
}

type counted struct {
	ID    string `json:"Id"`
	State string
}

// runs is true of every state that Docker may ever tell but those in which no process is left.
func (sandbox counted) runs() bool {
	return !slices.Contains([]string{"created", "exited", "dead"}, sandbox.State)
}

type inspected struct {
	ID      string `json:"Id"`
	ExecIDs []string
	Config  struct{ Labels map[string]string }
}

// sandbox finds out whether a container was made here; only its full id is used from then on.
func (orders *Orders) sandbox(ctx context.Context, id string) (inspected, error) {
	var found inspected
	if !identity.MatchString(id) {
		return found, refuse("%q is no name of a container", short(id))
	}
	answer, err := orders.engine.ask(ctx, http.MethodGet, "/containers/"+id+"/json", nil)
	if err != nil {
		return found, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNotFound {
		return found, missing(id)
	}
	if answer.StatusCode != http.StatusOK {
		return found, fmt.Errorf("Docker answered %s to the container %s", answer.Status, id)
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
		added, err := query(request, ordered[order])
		if err != nil {
			return err
		}
		found, err := orders.sandbox(request.Context(), request.PathValue("id"))
		if err != nil {
			return notFound(writer, err)
		}
		return orders.engine.pass(writer, request, "/containers/"+found.ID+order+added, nil)
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

// start lets a sandbox run when it is not one too many.
func (orders *Orders) start(writer http.ResponseWriter, request *http.Request) error {
	if _, err := query(request, ordered["/start"]); err != nil {
		return err
	}
	orders.running.Lock()
	defer orders.running.Unlock()
	request, err := toItsEnd(request)
	if err != nil {
		return err
	}
	found, err := orders.sandbox(request.Context(), request.PathValue("id"))
	if err != nil {
		return notFound(writer, err)
	}
	there, err := orders.sandboxes(request.Context())
	if err != nil {
		return err
	}
	others := 0
	for _, each := range there {
		if each.ID != found.ID && each.runs() {
			others++
		}
	}
	if others >= orders.policy.AtMost {
		return refuse("%d sandboxes run, and memory is reserved for %d: stop one", others, orders.policy.AtMost)
	}
	return orders.engine.pass(writer, request, "/containers/"+found.ID+"/start", nil)
}

func (orders *Orders) makeExec(writer http.ResponseWriter, request *http.Request) error {
	text, err := whole(writer, request)
	if err != nil {
		return err
	}
	orders.entering.Lock()
	defer orders.entering.Unlock()
	request, err = toItsEnd(request)
	if err != nil {
		return err
	}
	body, err := decoded(text)
	if err != nil {
		return err
	}
	made, err := orders.policy.exec(body)
	if err != nil {
		return err
	}
	found, err := orders.sandbox(request.Context(), request.PathValue("id"))
	if err != nil {
		return notFound(writer, err)
	}
	if len(found.ExecIDs) >= mostExecs {
		return refuse("the sandbox has %d programs that were started or may be, and no more are allowed", len(found.ExecIDs))
	}
	return orders.engine.pass(writer, request, "/containers/"+found.ID+"/exec", made)
}

// executed finds out whether an exec belongs to a sandbox.
func (orders *Orders) executed(request *http.Request) (string, error) {
	id := request.PathValue("id")
	var found struct{ ID, ContainerID string }
	if !identity.MatchString(id) {
		return "", refuse("%q is no exec", short(id))
	}
	if err := orders.engine.read(request.Context(), "/exec/"+id+"/json", &found); err != nil {
		return "", err
	}
	if found.ID != id {
		return "", refuse("%q is no exec by its whole name", short(id))
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

// startExec joins the client's connection with Docker's, once Docker has said that it is the program's: from then on what
// follows is the program's input and output, and never another request.
func (orders *Orders) startExec(writer http.ResponseWriter, request *http.Request) error {
	// The whole body first: until it is there a client could let the exec end, and Docker would read what follows as requests.
	text, err := whole(writer, request)
	if err != nil {
		return err
	}
	body, err := decoded(text)
	if err != nil {
		return err
	}
	// A client that has no input ends its direction at once: for Go's server that is a client who has left.
	request = request.WithContext(context.WithoutCancel(request.Context()))
	id, err := orders.executed(request)
	if err != nil {
		return notFound(writer, err)
	}
	text, err = json.Marshal(object{"Detach": body["Detach"] == true, "Tty": body["Tty"] == true})
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
	start, err := http.NewRequest(http.MethodPost, "http://docker"+apiVersion+"/exec/"+id+"/start", bytes.NewReader(text))
	if err != nil {
		return err
	}
	start.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"tcp"}, "Content-Type": {"application/json"}}
	if err := start.Write(docker); err != nil {
		return err
	}
	fromDocker := bufio.NewReader(docker)
	answer, err := http.ReadResponse(fromDocker, start)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return hand(writer, answer)
	}
	client, buffered, err := http.NewResponseController(writer).Hijack()
	if err != nil {
		return err
	}
	defer client.Close()
	head := "HTTP/1.1 101 UPGRADED\r\nContent-Type: %s\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
	if _, err := fmt.Fprintf(client, head, answer.Header.Get("Content-Type")); err != nil {
		return nil
	}
	join(client, buffered.Reader, docker, fromDocker)
	return nil
}

// join copies both ways; the end of one direction is told, and the other goes on until its own end.
func join(client net.Conn, fromClient io.Reader, docker net.Conn, fromDocker io.Reader) {
	go func() {
		_, _ = io.Copy(docker, fromClient)
		if half, ok := docker.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	_, _ = io.Copy(client, fromDocker)
}

// whole is the body, from a client who sends it at once.
func whole(writer http.ResponseWriter, request *http.Request) ([]byte, error) {
	control := http.NewResponseController(writer)
	_ = control.SetReadDeadline(time.Now().Add(bodyWithin))
	text, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, refuse("the body is not there whole: %v", err)
	}
	return text, control.SetReadDeadline(time.Time{})
}

func decoded(text []byte) (object, error) {
	var body object
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&body); err != nil {
		return nil, refuse("the body is no JSON object: %v", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, refuse("the body is more than one JSON object")
	}
	return body, nil
}
