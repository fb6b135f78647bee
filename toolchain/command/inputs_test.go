package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	return map[string]inputCase{
		localCommand + ".create":                 createCase,
		localCommand + ".update":                 updateCase,
		localCommand + ".delete":                 deleteCase,
		localCommand + ".stdin":                  stdinCase,
		localCommand + ".environment":            environmentCase,
		localCommand + ".logging":                loggingCase,
		localCommand + ".addPreviousOutputInEnv": previousOutputCase,
		localCommand + ".triggers":               triggersCase,
		localCommand + ".interpreter":            interpreterCase,
		localCommand + ".dir":                    dirCase,
		localCommand + ".assetPaths":             assetPathsCase,
		localCommand + ".archivePaths":           archivePathsCase,
	}
}

func createCase(t *testing.T) {
	s := newStack(t, localCommand)
	must(t, s.apply(values{"create": "printf 'one\ntwo\n\n'; echo three >&2"}.properties()))
	equal(t, "stdout", s.output("stdout"), "one\ntwo\n") // the last newline goes, and only that
	equal(t, "stderr", s.output("stderr"), "three")
	s = newStack(t, localCommand)
	must(t, s.apply(values{}.properties()))
	equal(t, "stdout without create is an empty string", s.state.Get("stdout").Equals(property.New("")), true)
	refused(t, s.apply(values{"create": 1}.properties()), "create", "has to be a string")
	refused(t, newStack(t, localCommand).apply(values{"create": "exit 3"}.properties()), "exit status 3", "exit 3")
	refused(t, newStack(t, localCommand).apply(values{"create": "echo before; kill -9 $$"}.properties()), "before", "signal")
}

func updateCase(t *testing.T) {
	s := newStack(t, localCommand)
	inputs := values{"create": "echo created", "update": "echo updated"}
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

func deleteCase(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	s := newStack(t, localCommand)
	inputs := values{"create": "true", "delete": "cat >> " + log, "stdin": "old"}
	must(t, s.apply(inputs.properties()))
	must(t, s.destroy())
	equal(t, "what delete read", content(t, log), "old")
	s = newStack(t, localCommand)
	must(t, s.apply(inputs.with(values{"delete": "echo stays >&2; exit 4"}).properties()))
	refused(t, s.destroy(), "exit status 4", "stays")
	s = newStack(t, localCommand)
	must(t, s.apply(inputs.with(values{"delete": nil}).properties()))
	must(t, s.destroy())
}

func stdinCase(t *testing.T) {
	s := newStack(t, localCommand)
	large := strings.Repeat("0123456789abcdef\n", 1<<15)
	must(t, s.apply(values{"create": "cat", "stdin": large, "logging": "none"}.properties()))
	equal(t, "length of what cat gave back", len(s.output("stdout")), len(large)-1)
	must(t, newStack(t, localCommand).apply(values{"create": "exit 0", "stdin": large}.properties())) // not all is read
	must(t, newStack(t, localCommand).apply(values{"create": "! read line"}.properties()))            // ends at once
}

func environmentCase(t *testing.T) {
	s := newStack(t, localCommand)
	inputs := values{"create": "echo $ACCEPTED", "environment": values{"ACCEPTED": "a value"}}
	must(t, s.apply(inputs.properties()))
	equal(t, "stdout", s.output("stdout"), "a value")
	refused(t, s.apply(inputs.with(values{"environment": values{"A=B": "x"}}).properties()), "environment", "A=B")
	refused(t, s.apply(inputs.with(values{"environment": values{"A": 1}}).properties()), "environment.A", "has to be a string")
}

func loggingCase(t *testing.T) {
	for logging, wanted := range map[string][]string{
		"stdout": {"said out"}, "stderr": {"said err"}, "stdoutAndStderr": {"said out", "said err"}, "none": {}, "": {"said out", "said err"},
	} {
		s := newStack(t, localCommand)
		inputs := values{"create": "printf 'said ''out'; echo 'said ''err' >&2"}
		if logging != "" {
			inputs["logging"] = logging
		}
		must(t, s.apply(inputs.properties()))
		equal(t, "stdout with logging "+logging, s.output("stdout"), "said out")
		failing := newStack(t, localCommand)
		err := failing.apply(inputs.with(values{"create": inputs["create"].(string) + "; false"}).properties())
		refused(t, err, "exit status 1")
		logged := s.logged()
		for _, text := range []string{"said out", "said err"} {
			shown := strings.Contains(strings.Join(wanted, " "), text)
			equal(t, fmt.Sprintf("logging %s shows %q in the log", logging, text), strings.Contains(logged, text), shown)
			equal(t, fmt.Sprintf("logging %s shows %q in the error", logging, text), strings.Contains(err.Error(), text), shown)
		}
	}
	refused(t, newStack(t, localCommand).apply(values{"create": "true", "logging": "loud"}.properties()), "logging", "stdoutAndStderr")
}

func previousOutputCase(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	s := newStack(t, localCommand)
	inputs := values{
		"create": "echo first; echo err >&2", "update": `echo "after $PULUMI_COMMAND_STDOUT"`, "delete": `echo "last $PULUMI_COMMAND_STDOUT" >> ` + log, "stdin": "1"}
	must(t, s.apply(inputs.properties()))
	s.logged()
	inputs["stdin"] = "2"
	must(t, s.apply(inputs.properties()))
	equal(t, "stdout", s.output("stdout"), "after first")
	equal(t, "warnings", s.logged(pulumirpc.LogSeverity_WARNING), "")
	must(t, s.destroy())
	equal(t, "what delete saw", content(t, log), "last after first\n")

	s = newStack(t, localCommand)
	must(t, s.apply(inputs.with(values{"addPreviousOutputInEnv": false}).properties()))
	must(t, s.apply(inputs.with(values{"addPreviousOutputInEnv": false, "stdin": "3"}).properties()))
	equal(t, "stdout when it is off", s.output("stdout"), "after ")
}

func triggersCase(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	note := func(text string) string { return "echo " + text + " >> " + log }
	s := newStack(t, localCommand)
	inputs := values{"create": note("create1"), "update": note("update1"), "delete": note("delete1"), "triggers": []string{"a"}}
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

func TestUnknownInputsAreRefusedByName(t *testing.T) {
	refused(t, newStack(t, localCommand).apply(values{"create": "true", "craete": "x"}.properties()), "craete", "has no input", "its inputs are")
}

func TestWhatTheProgramDoesNotUseIsRefusedByName(t *testing.T) {
	for _, token := range []string{"command:remote:Command", "command:remote:CopyToRemote", "command:remote:CopyFile"} {
		inputs := values{"create": "true", "connection": values{"host": "127.0.0.1"}}
		refused(t, newStack(t, token).apply(inputs.properties()), token, "does not have it", "official", "for example")
	}
}

func TestValuesThatAreNotKnownYetPassTheCheck(t *testing.T) {
	all := values{}
	for name := range packageSchema.Resources[localCommand].InputProperties {
		all[name] = property.New(property.Computed)
	}
	_, err := newStack(t, localCommand).preview(all.properties())
	must(t, err)
}
