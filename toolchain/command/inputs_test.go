package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// inputCase shows that an input is honoured, and that what is wrong with it is said.
type inputCase func(t *testing.T)

// TestEveryInputIsHonouredOrRefused walks the schema that the plugin publishes: an input without a case fails.
func TestEveryInputIsHonouredOrRefused(t *testing.T) {
	response, err := newEngine(t).GetSchema(t.Context(), &pulumirpc.GetSchemaRequest{})
	must(t, err)
	var spec schema.PackageSpec
	must(t, json.Unmarshal([]byte(response.Schema), &spec))
	cases := inputCases()
	for token, resource := range spec.Resources {
		for _, path := range inputPaths(spec, resource.InputProperties) {
			name := token + "." + path
			run, ok := cases[name]
			if !ok {
				t.Errorf("%s has no case", name)
				continue
			}
			delete(cases, name)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				run(t)
			})
		}
	}
	if len(cases) > 0 {
		t.Errorf("the plugin has no inputs %v", sortedKeys(cases))
	}
}

// inputPaths descends into the types of the package.
func inputPaths(spec schema.PackageSpec, inputs map[string]schema.PropertySpec) []string {
	var paths []string
	for name, input := range inputs {
		nested := spec.Types[strings.TrimPrefix(input.Ref, "#/types/")].Properties
		if len(nested) == 0 {
			paths = append(paths, name)
		}
		for _, path := range inputPaths(spec, nested) {
			paths = append(paths, name+"."+path)
		}
	}
	return paths
}

func inputCases() map[string]inputCase {
	cases := map[string]inputCase{
		localCommand + ".interpreter":  interpreterCase,
		localCommand + ".dir":          dirCase,
		localCommand + ".assetPaths":   assetPathsCase,
		localCommand + ".archivePaths": archivePathsCase,
		copyToRemote + ".source":       sourceCase,
		copyToRemote + ".remotePath":   remotePathCase,
		copyToRemote + ".triggers":     copyTriggersCase,
	}
	for _, token := range []string{localCommand, remoteCommand} {
		for name, run := range map[string]func(*testing.T, string){
			"create": createCase, "update": updateCase, "delete": deleteCase, "stdin": stdinCase, "environment": environmentCase,
			"logging": loggingCase, "addPreviousOutputInEnv": previousOutputCase, "triggers": triggersCase,
		} {
			cases[token+"."+name] = func(t *testing.T) { run(t, token) }
		}
	}
	for _, token := range []string{remoteCommand, copyToRemote} {
		for name, run := range connectionCases {
			cases[token+".connection."+name] = func(t *testing.T) { run(t, directly(token)) }
			cases[token+".connection.proxy."+name] = func(t *testing.T) { run(t, throughProxy(token)) }
		}
	}
	return cases
}

// commandOn gives the inputs of a command that runs on this machine, over SSH or not.
func commandOn(t *testing.T, token string, inputs values) values {
	if token == remoteCommand {
		return inputs.with(values{"connection": server(t).connection(nil)})
	}
	return inputs
}

func createCase(t *testing.T, token string) {
	s := newStack(t, token)
	must(t, s.apply(commandOn(t, token, values{"create": "printf 'one\ntwo\n\n'; echo three >&2"}).properties()))
	equal(t, "stdout", s.output("stdout"), "one\ntwo\n") // the last newline goes, and only that
	equal(t, "stderr", s.output("stderr"), "three")
	s = newStack(t, token)
	must(t, s.apply(commandOn(t, token, values{}).properties()))
	equal(t, "stdout without create is an empty string", s.state.Get("stdout").Equals(property.New("")), true)
	refused(t, s.apply(commandOn(t, token, values{"create": 1}).properties()), "create", "has to be a string")
	refused(t, newStack(t, token).apply(commandOn(t, token, values{"create": "exit 3"}).properties()), "exit status 3", "exit 3")
	refused(t, newStack(t, token).apply(commandOn(t, token, values{"create": "echo before; kill -9 $$"}).properties()), "before", "signal")
}

func updateCase(t *testing.T, token string) {
	s := newStack(t, token)
	inputs := commandOn(t, token, values{"create": "echo created", "update": "echo updated"})
	must(t, s.apply(inputs.properties()))
	equal(t, "stdout", s.output("stdout"), "created")
	id := s.id
	must(t, s.apply(inputs.with(values{"stdin": "changed"}).properties()))
	equal(t, "stdout", s.output("stdout"), "updated")
	equal(t, "id", s.id, id)
	inputs["update"] = nil
	must(t, s.apply(inputs.properties()))
	equal(t, "stdout without update", s.output("stdout"), "created")
	must(t, s.apply(inputs.with(values{"create": nil}).properties()))
	equal(t, "stdout when nothing runs", s.output("stdout"), "created")
}

func deleteCase(t *testing.T, token string) {
	log := filepath.Join(t.TempDir(), "log")
	s := newStack(t, token)
	inputs := commandOn(t, token, values{"create": "true", "delete": "cat >> " + log, "stdin": "old"})
	must(t, s.apply(inputs.properties()))
	must(t, s.destroy())
	equal(t, "what delete read", content(t, log), "old")
	s = newStack(t, token)
	must(t, s.apply(inputs.with(values{"delete": "echo stays >&2; exit 4"}).properties()))
	refused(t, s.destroy(), "exit status 4", "stays")
	s = newStack(t, token)
	must(t, s.apply(inputs.with(values{"delete": nil}).properties()))
	must(t, s.destroy())
}

func stdinCase(t *testing.T, token string) {
	s := newStack(t, token)
	large := strings.Repeat("0123456789abcdef\n", 1<<15)
	must(t, s.apply(commandOn(t, token, values{"create": "cat", "stdin": large, "logging": "none"}).properties()))
	equal(t, "length of what cat gave back", len(s.output("stdout")), len(large)-1)
	must(t, newStack(t, token).apply(commandOn(t, token, values{"create": "exit 0", "stdin": large}).properties())) // not all is read
	must(t, newStack(t, token).apply(commandOn(t, token, values{"create": "! read line"}).properties()))            // ends at once
}

func environmentCase(t *testing.T, token string) {
	s := newStack(t, token)
	inputs := commandOn(t, token, values{"create": "echo $ACCEPTED", "environment": values{"ACCEPTED": "a value"}})
	must(t, s.apply(inputs.properties()))
	equal(t, "stdout", s.output("stdout"), "a value")
	refused(t, s.apply(inputs.with(values{"environment": values{"A=B": "x"}}).properties()), "environment", "A=B")
	refused(t, s.apply(inputs.with(values{"environment": values{"A": 1}}).properties()), "environment.A", "has to be a string")
	if token == remoteCommand {
		err := s.apply(inputs.with(values{"environment": values{"REFUSED": "its value"}}).properties())
		refused(t, err, "REFUSED", "AcceptEnv")
		lacks(t, "the error", err.Error(), "its value")
	}
}

func loggingCase(t *testing.T, token string) {
	for logging, wanted := range map[string][]string{
		"stdout": {"said out"}, "stderr": {"said err"}, "stdoutAndStderr": {"said out", "said err"}, "none": {}, "": {"said out", "said err"},
	} {
		s := newStack(t, token)
		inputs := commandOn(t, token, values{"create": "printf 'said ''out'; echo 'said ''err' >&2"})
		if logging != "" {
			inputs["logging"] = logging
		}
		must(t, s.apply(inputs.properties()))
		equal(t, "stdout with logging "+logging, s.output("stdout"), "said out")
		failing := newStack(t, token)
		err := failing.apply(inputs.with(values{"create": inputs["create"].(string) + "; false"}).properties())
		refused(t, err, "exit status 1")
		logged := s.logged()
		for _, text := range []string{"said out", "said err"} {
			shown := strings.Contains(strings.Join(wanted, " "), text)
			equal(t, fmt.Sprintf("logging %s shows %q in the log", logging, text), strings.Contains(logged, text), shown)
			equal(t, fmt.Sprintf("logging %s shows %q in the error", logging, text), strings.Contains(err.Error(), text), shown)
		}
	}
	refused(t, newStack(t, token).apply(commandOn(t, token, values{"create": "true", "logging": "loud"}).properties()), "logging", "stdoutAndStderr")
}

func previousOutputCase(t *testing.T, token string) {
	log := filepath.Join(t.TempDir(), "log")
	s := newStack(t, token)
	inputs := commandOn(t, token, values{
		"create": "echo first; echo err >&2", "update": `echo "after $PULUMI_COMMAND_STDOUT"`, "delete": `echo "last $PULUMI_COMMAND_STDOUT" >> ` + log, "stdin": "1"})
	must(t, s.apply(inputs.properties()))
	s.logged()
	inputs["stdin"] = "2"
	must(t, s.apply(inputs.properties()))
	equal(t, "stdout", s.output("stdout"), "after first")
	equal(t, "warnings", s.logged(pulumirpc.LogSeverity_WARNING), "") // the server refuses PULUMI_COMMAND_STDERR; nobody asked for it
	must(t, s.destroy())
	equal(t, "what delete saw", content(t, log), "last after first\n")

	s = newStack(t, token)
	must(t, s.apply(inputs.with(values{"addPreviousOutputInEnv": false}).properties()))
	must(t, s.apply(inputs.with(values{"addPreviousOutputInEnv": false, "stdin": "3"}).properties()))
	equal(t, "stdout when it is off", s.output("stdout"), "after ")
	if token == remoteCommand {
		s = newStack(t, token)
		must(t, s.apply(inputs.with(values{"addPreviousOutputInEnv": true}).properties()))
		must(t, s.apply(inputs.with(values{"addPreviousOutputInEnv": true, "stdin": "3"}).properties()))
		contains(t, "the warning", s.logged(pulumirpc.LogSeverity_WARNING), "PULUMI_COMMAND_STDERR", "AcceptEnv")
	}
}

func triggersCase(t *testing.T, token string) {
	log := filepath.Join(t.TempDir(), "log")
	note := func(text string) string { return "echo " + text + " >> " + log }
	s := newStack(t, token)
	inputs := commandOn(t, token, values{"create": note("create1"), "update": note("update1"), "delete": note("delete1"), "triggers": []string{"a"}})
	must(t, s.apply(inputs.properties()))
	must(t, s.apply(inputs.properties()))
	changed := inputs.with(values{"triggers": []string{"b"}, "create": note("create2"), "delete": note("delete2")})
	diff, err := s.diff(changed.properties())
	must(t, err)
	equal(t, "replaces", fmt.Sprint(diff.Replaces), "[triggers]")
	equal(t, "delete before replace", diff.DeleteBeforeReplace, true)
	must(t, s.apply(changed.properties()))
	equal(t, "order", content(t, log), "create1\ndelete1\ncreate2\n")
	secretNow := property.New([]property.Value{secret("b")})
	diff, err = s.diff(changed.with(values{"triggers": secretNow}).properties())
	must(t, err)
	equal(t, "changes when a value only became secret", diff.Changes, pulumirpc.DiffResponse_DIFF_NONE)
	refused(t, s.apply(inputs.with(values{"triggers": "a"}).properties()), "triggers", "has to be a list")
}

func interpreterCase(t *testing.T) {
	s := newStack(t, localCommand)
	must(t, s.apply(values{"create": "echo $0 $1", "interpreter": []string{"/bin/echo", "-n", "says"}}.properties()))
	equal(t, "stdout", s.output("stdout"), "says echo $0 $1")
	s = newStack(t, localCommand)
	refused(t, s.apply(values{"create": "x", "interpreter": []string{}}.properties()), "interpreter is empty")
	refused(t, s.apply(values{"create": "x", "interpreter": []string{"/no/such/program"}}.properties()), "/no/such/program", "did not start")
}

func dirCase(t *testing.T) {
	directory := t.TempDir()
	s := newStack(t, localCommand)
	must(t, s.apply(values{"create": "pwd", "dir": directory}.properties()))
	equal(t, "stdout", s.output("stdout"), directory)
	refused(t, newStack(t, localCommand).apply(values{"create": "pwd", "dir": directory + "/none"}.properties()), directory+"/none", "create it first")
}

// tree is the example of the SDK's documentation.
func tree(t *testing.T) string {
	directory := t.TempDir()
	for _, path := range []string{"assets/logos/logo.svg", "src/index.js", "src/secret.js", "other.txt"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(directory, path)), 0o755))
		must(t, os.WriteFile(filepath.Join(directory, path), []byte(path), 0o600))
	}
	return directory
}

var treeGlobs = []string{"assets/**", "src/**.js", "!**secret.*"}

func assetPathsCase(t *testing.T) {
	directory := tree(t)
	s := newStack(t, localCommand)
	must(t, s.apply(values{"create": "true", "dir": directory, "assetPaths": treeGlobs}.properties()))
	assets := s.state.Get("assets").AsMap()
	equal(t, "assets", fmt.Sprint(sortedKeys(assets.AsMap())), "[assets/logos/logo.svg src/index.js]")
	equal(t, "path", assets.Get("src/index.js").AsAsset().Path, filepath.Join(directory, "src/index.js"))
	refused(t, s.apply(values{"assetPaths": []string{"[a"}}.properties()), "assetPaths", "no glob")
}

func archivePathsCase(t *testing.T) {
	s := newStack(t, localCommand)
	must(t, s.apply(values{"create": "true", "dir": tree(t), "archivePaths": treeGlobs}.properties()))
	equal(t, "archive", fmt.Sprint(sortedKeys(s.state.Get("archive").AsArchive().Assets)), "[assets/logos/logo.svg src/index.js]")
	refused(t, s.apply(values{"archivePaths": []string{"[a"}}.properties()), "archivePaths", "no glob")
}

// login tries to log in with changed settings, either to the host itself or to the proxy before it, and gives what was logged.
type login func(t *testing.T, changes values) (logged string, err error)

func directly(token string) login {
	return func(t *testing.T, changes values) (string, error) {
		return logIn(t, token, server(t).connection(changes))
	}
}

func throughProxy(token string) login {
	return func(t *testing.T, changes values) (string, error) {
		return logIn(t, token, server(t).connection(values{"proxy": server(t).connection(changes)}))
	}
}

func logIn(t *testing.T, token string, connection values) (string, error) {
	s := newStack(t, token)
	inputs := values{"connection": connection, "create": "true"}
	if token == copyToRemote {
		inputs = values{"connection": connection, "source": textAsset("text"), "remotePath": filepath.Join(t.TempDir(), "file")}
	}
	err := s.apply(inputs.properties())
	return s.logged(pulumirpc.LogSeverity_WARNING), err
}

// works and fails say whether the login with the changed settings does.
func (l login) works(t *testing.T, changes values) {
	t.Helper()
	logged, err := l(t, changes)
	must(t, err)
	equal(t, "warnings", logged, "")
}

func (l login) fails(t *testing.T, changes values, texts ...string) string {
	t.Helper()
	_, err := l(t, changes)
	refused(t, err, texts...)
	return err.Error()
}

var connectionCases = map[string]func(*testing.T, login){
	"host": func(t *testing.T, login login) {
		login.works(t, nil)
		login.fails(t, values{"host": "127.0.0.2", "dialErrorLimit": 1}, "127.0.0.2", "cannot be reached")
		login.fails(t, values{"host": nil}, "needs connection.", "host")
	},
	"port": func(t *testing.T, login login) {
		port := startClosed(t).number
		login.fails(t, values{"port": port, "dialErrorLimit": 1}, fmt.Sprintf("127.0.0.1:%d", port))
		login.fails(t, values{"port": 65536}, "port is 65536")
		login.fails(t, values{"port": 22.5}, "port is 22.5")
	},
	"user": func(t *testing.T, login login) {
		text := login.fails(t, values{"user": "no-such-user"}, "does not let no-such-user in", "authorized_keys")
		lacks(t, "the error", text, "attempts:") // a refused login is not repeated: the host would ban this machine
	},
	"password": func(t *testing.T, login login) {
		server := values{"port": startPasswordServer(t, "correct horse"), "hostKey": nil, "privateKey": nil}
		_, err := login(t, server.with(values{"password": "correct horse"}))
		must(t, err)
		text := login.fails(t, server.with(values{"password": "battery staple"}), "does not let")
		lacks(t, "the error", text, "battery staple")
		login.fails(t, server, "does not let")
	},
	"privateKey": func(t *testing.T, login login) {
		other := newKey("")
		text := login.fails(t, values{"privateKey": other.private}, "does not let")
		lacks(t, "the error", text, strings.Split(other.private, "\n")[1])
		text = login.fails(t, values{"privateKey": "half a key"}, "privateKey is no SSH private key")
		lacks(t, "the error", text, "half a key")
		login.fails(t, values{"privateKey": nil}, "does not let")
	},
	"privateKeyPassword": func(t *testing.T, login login) {
		encrypted := server(t).key.encrypted("open sesame")
		login.works(t, values{"privateKey": encrypted, "privateKeyPassword": "open sesame"})
		text := login.fails(t, values{"privateKey": encrypted, "privateKeyPassword": "wrong words"}, "does not open with privateKeyPassword")
		lacks(t, "the error", text, "wrong words")
		login.fails(t, values{"privateKey": encrypted}, "there is no privateKeyPassword")
	},
	"agentSocketPath": func(t *testing.T, login login) {
		login.works(t, values{"privateKey": nil, "agentSocketPath": startAgent(t, server(t).key)})
		login.fails(t, values{"privateKey": nil, "agentSocketPath": startAgent(t, newKey(""))}, "does not let")
		login.fails(t, values{"privateKey": nil, "agentSocketPath": "/no/agent"}, "agentSocketPath /no/agent")
	},
	"hostKey": func(t *testing.T, login login) {
		other := newKey("")
		text := login.fails(t, values{"hostKey": other.public}, "another host key", "change hostKey", fingerprint(other.public), fingerprint(server(t).hostKey))
		lacks(t, "the error", text, "attempts:")
		login.fails(t, values{"hostKey": "example.org " + other.public}, "hostKey is no public key")
		logged, err := login(t, values{"hostKey": nil})
		must(t, err)
		contains(t, "the warning", logged, "host key", "not checked", "ecdsa-sha2-nistp256 AAAA")
	},
	"dialErrorLimit": func(t *testing.T, login login) {
		login.fails(t, values{"port": startClosed(t).number, "dialErrorLimit": 2}, "attempts: 2")
		login.fails(t, values{"port": startClosed(t).number, "dialErrorLimit": 0}, "attempts: 1")
		login.fails(t, values{"dialErrorLimit": -2}, "dialErrorLimit is -2")
		login.works(t, values{"port": startLate(t, 500*time.Millisecond), "dialErrorLimit": -1})
	},
	"perDialTimeout": func(t *testing.T, login login) {
		silent := listen(t, func(connection net.Conn) { _, _ = io.Copy(io.Discard, connection) })
		started := time.Now()
		login.fails(t, values{"port": silent, "dialErrorLimit": 1, "perDialTimeout": 1}, "no SSH handshake within 1s")
		if took := time.Since(started); took > 5*time.Second {
			t.Errorf("the attempt took %s", took)
		}
		login.works(t, values{"perDialTimeout": 0})
		login.fails(t, values{"perDialTimeout": -1}, "perDialTimeout is -1")
	},
}

// startLate gives a port that leads to the server, but only after a while.
func startLate(t *testing.T, wait time.Duration) int {
	port, target := startClosed(t), fmt.Sprintf("127.0.0.1:%d", server(t).port)
	opening := time.AfterFunc(wait, func() {
		listener, err := port.open()
		if err != nil {
			panic(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		accept(listener, func(connection net.Conn) {
			if onward, err := net.Dial("tcp", target); err == nil {
				tunnel(connection, onward)
			}
		})
	})
	t.Cleanup(func() { opening.Stop() })
	return port.number
}

func TestUnknownInputsAreRefusedByName(t *testing.T) {
	connection := server(t).connection(nil)
	for token, inputs := range map[string]values{
		localCommand:  {"create": "true"},
		remoteCommand: {"create": "true", "connection": connection},
		copyToRemote:  {"connection": connection, "source": textAsset("x"), "remotePath": "/tmp/x"},
	} {
		refused(t, newStack(t, token).apply(inputs.with(values{"craete": "x"}).properties()), "craete", "has no input", "its inputs are")
	}
	proxied := server(t).connection(values{"proxy": connection.with(values{"proxy": connection})})
	refused(t, newStack(t, remoteCommand).apply(values{"create": "true", "connection": proxied}.properties()), "has no input connection.proxy.proxy")
	refused(t, newStack(t, remoteCommand).apply(values{"create": "true"}.properties()), "needs connection")
	refused(t, newStack(t, copyToRemote).apply(values{"connection": connection}.properties()), "needs source", "needs remotePath")
}

func TestUnknownResourcesAreRefusedByName(t *testing.T) {
	refused(t, newStack(t, copyFile).apply(property.Map{}), "CopyFile", "CopyToRemote")
	refused(t, newStack(t, "command:remote:Teleport").apply(property.Map{}), "command:remote:Teleport")
}

func TestValuesThatAreNotKnownYetPassTheCheck(t *testing.T) {
	unknown := property.New(property.Computed)
	for token, inputs := range map[string]map[string]schema.PropertySpec{
		localCommand:  packageSchema.Resources[localCommand].InputProperties,
		remoteCommand: packageSchema.Resources[remoteCommand].InputProperties,
		copyToRemote:  packageSchema.Resources[copyToRemote].InputProperties,
	} {
		all := values{}
		for name := range maps.Keys(inputs) {
			all[name] = unknown
		}
		_, err := newStack(t, token).preview(all.properties())
		must(t, err)
		if _, ok := inputs["connection"]; ok {
			all["connection"] = values{"host": unknown, "privateKey": unknown, "proxy": unknown}
			_, err := newStack(t, token).preview(all.properties())
			must(t, err)
		}
	}
}
