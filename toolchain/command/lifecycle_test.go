package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/emptypb"
)

func TestPreviewRunsNothingAndKnowsNothing(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	s := newStack(t, localCommand)
	inputs := values{"create": "echo ran | tee -a " + log}
	state, err := s.preview(inputs.properties())
	must(t, err)
	equal(t, "stdout in the preview of a create", state.Get("stdout").IsComputed(), true)
	must(t, s.apply(inputs.properties()))
	inputs["stdin"] = "changed"
	state, err = s.preview(inputs.properties())
	must(t, err)
	equal(t, "stdout in the preview of an update", state.Get("stdout").IsComputed(), true)
	equal(t, "times that it ran", content(t, log), "ran\n")
	state, err = s.preview(inputs.with(values{"create": nil}).properties())
	must(t, err)
	equal(t, "stdout in the preview of an update that runs nothing", textOf(state.Get("stdout")), "ran")
	state, err = newStack(t, localCommand).preview(values{"create": "true", "assetPaths": []string{"*"}, "archivePaths": []string{"*"}}.properties())
	must(t, err)
	equal(t, "assets", state.Get("assets").IsComputed() && state.Get("archive").IsComputed(), true)
}

func TestDeleteRunsOnTheOldInputs(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	s := newStack(t, localCommand)
	inputs := func(generation string) property.Map {
		return values{"create": "true", "delete": "(cat; echo $ACCEPTED) >> " + log, "stdin": generation + " ",
			"environment": values{"ACCEPTED": generation}, "triggers": []string{generation}}.properties()
	}
	must(t, s.apply(inputs("old")))
	must(t, s.apply(inputs("new")))
	equal(t, "what delete saw", content(t, log), "old old\n")
}

func TestRefreshKeepsTheStateAndImportIsRefused(t *testing.T) {
	s := newStack(t, localCommand)
	must(t, s.apply(values{"create": "echo once"}.properties()))
	response, err := s.Read(t.Context(), &pulumirpc.ReadRequest{Id: s.id, Urn: s.urn(), Properties: marshal(s.state), Inputs: marshal(s.inputs)})
	must(t, err)
	equal(t, "id", response.Id, s.id)
	equal(t, "stdout", textOf(unmarshal(response.Properties).Get("stdout")), "once")
	_, err = s.Read(t.Context(), &pulumirpc.ReadRequest{Id: "x", Urn: s.urn()})
	refused(t, err, "cannot be imported")
}

func TestRunFunction(t *testing.T) {
	e := newEngine(t)
	run := func(arguments values) (*pulumirpc.InvokeResponse, error) {
		return e.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: localRun, Args: marshal(arguments.properties())})
	}
	response, err := run(values{"command": "cat; echo $WHO", "stdin": "in ", "environment": values{"WHO": "me"}})
	must(t, err)
	equal(t, "stdout", textOf(unmarshal(response.Return).Get("stdout")), "in me")
	_, err = run(values{"command": "exit 9"})
	refused(t, err, "exit status 9")
	response, err = run(values{"comand": "true"})
	must(t, err)
	contains(t, "the failures", fmt.Sprint(response.Failures), "comand", "needs command")
	_, err = e.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: "command:remote:run"})
	refused(t, err, "no function command:remote:run")
}

func TestCancelEndsTheCommandAndItsChildren(t *testing.T) {
	directory := t.TempDir()
	s := newStack(t, localCommand)
	script := fmt.Sprintf("trap 'echo ended > %[1]s/ended; exit 1' TERM; sh -c 'echo $$ > %[1]s/child; exec sleep 60' & echo started > %[1]s/started; wait", directory)
	failed := make(chan error, 1)
	go func() { failed <- s.apply(values{"create": script}.properties()) }()
	await(t, "the start", func() bool { return exists(directory+"/started") && exists(directory+"/child") })
	_, err := s.Cancel(t.Context(), &emptypb.Empty{})
	must(t, err)
	refused(t, <-failed, "the deployment was cancelled")
	await(t, "the trap", func() bool { return exists(directory + "/ended") })
	child := strings.TrimSpace(content(t, directory+"/child"))
	await(t, "the end of the child", func() bool { return !exists("/proc/" + child) })
	refused(t, newStackOn(s).apply(values{"create": "touch " + directory + "/late"}.properties()), "cancelled")
	equal(t, "a command after the cancellation ran", exists(directory+"/late"), false)
}

func newStackOn(s *stack) *stack { return &stack{engine: s.engine, token: s.token} }

func TestTimeoutEndsTheCommand(t *testing.T) {
	s := newStack(t, localCommand)
	started := time.Now()
	_, err := s.Create(t.Context(), &pulumirpc.CreateRequest{Urn: s.urn(), Properties: marshal(values{"create": "sleep 60"}.properties()), Timeout: 1})
	refused(t, err, "did not end in time", "custom_timeouts")
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestBackgroundProcessesDoNotHoldTheCommand(t *testing.T) {
	started := time.Now()
	s := newStack(t, localCommand)
	must(t, s.apply(values{"create": "sleep 60 & echo $!"}.properties()))
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	pid := s.output("stdout")
	equal(t, "the background process lives", exists("/proc/"+pid), true)
	must(t, newStack(t, localCommand).apply(values{"create": "kill " + pid}.properties()))
}

func TestOutputIsStreamedAndComplete(t *testing.T) {
	directory := t.TempDir()
	s := newStack(t, localCommand)
	done := make(chan error, 1)
	go func() {
		done <- s.apply(values{"create": "echo first; while [ ! -e " + directory + "/go ]; do sleep 0.02; done; seq 20000"}.properties())
	}()
	var early string
	await(t, "the first line", func() bool { early += s.logged(); return strings.Contains(early, "first") })
	must(t, os.WriteFile(directory+"/go", nil, 0o600))
	must(t, <-done)
	equal(t, "lines", strings.Count(s.output("stdout"), "\n"), 20000)
	logged := s.logged()
	if !strings.HasSuffix(logged, "19999\n20000") {
		t.Errorf("the log ends with %q", logged[max(0, len(logged)-30):])
	}
}

func TestOutputThatIsNoText(t *testing.T) {
	s := newStack(t, localCommand)
	must(t, s.apply(values{"create": `printf 'a\377b'`}.properties()))
	equal(t, "stdout", s.output("stdout"), "a\uFFFDb")
}
