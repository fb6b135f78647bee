package main

import (
	"context"
	"fmt"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// command is a resource that runs a command: create at first, update (else create) on changes, delete at the end.
type command struct {
	// execute runs one command to its end, and writes what it says to the output.
	execute func(ctx context.Context, line string, inputs property.Map, environment map[string]string, output *output) error
}

func (c command) preview(inputs, previous property.Map) property.Map {
	runs := commandFor(inputs, previous.Len() > 0)
	state := inputs
	for _, name := range []string{"stdout", "stderr"} {
		switch {
		case !runs.IsNull():
			state = state.Set(name, property.New(property.Computed).WithSecret(hasSecrets(inputs)))
		case previous.Len() > 0:
			state = state.Set(name, previous.Get(name))
		default:
			state = state.Set(name, property.New(""))
		}
	}
	for input, name := range map[string]string{"assetPaths": "assets", "archivePaths": "archive"} {
		if _, wanted := inputs.GetOk(input); wanted {
			state = state.Set(name, property.New(property.Computed).WithSecret(hasSecrets(inputs)))
		}
	}
	return state
}

func (c command) create(ctx context.Context, inputs property.Map) (property.Map, error) {
	return c.run(ctx, commandFor(inputs, false), inputs, property.Map{})
}

func (c command) update(ctx context.Context, inputs, previous property.Map) (property.Map, error) {
	return c.run(ctx, commandFor(inputs, true), inputs, previous)
}

func (c command) delete(ctx context.Context, state property.Map) error {
	_, err := c.run(ctx, state.Get("delete"), state, state)
	return err
}

func commandFor(inputs property.Map, exists bool) property.Value {
	if update := inputs.Get("update"); exists && !update.IsNull() {
		return update
	}
	return inputs.Get("create")
}

// run gives the new state. A command that is null leaves the previous output as it is.
func (c command) run(ctx context.Context, line property.Value, inputs, previous property.Map) (property.Map, error) {
	stdout, stderr := textOf(previous.Get("stdout")), textOf(previous.Get("stderr"))
	if !line.IsNull() {
		output := newOutput(ctx, inputs)
		err := c.execute(ctx, line.AsString(), inputs, previousOutput(inputs, previous), output)
		output.close()
		if err != nil {
			return property.Map{}, output.failure(err, line)
		}
		stdout, stderr = output.stdout.text(), output.stderr.text()
	}
	secret := hasSecrets(inputs)
	state := inputs.
		Set("stdout", property.New(stdout).WithSecret(secret)).
		Set("stderr", property.New(stderr).WithSecret(secret))
	return withFiles(state, secret)
}

// previousOutput gives the variables that tell a command what the one before it said.
func previousOutput(inputs, previous property.Map) map[string]string {
	wanted := inputs.Get("addPreviousOutputInEnv")
	if previous.Len() == 0 || (wanted.IsBool() && !wanted.AsBool()) {
		return nil
	}
	variables := map[string]string{}
	for variable, name := range map[string]string{"PULUMI_COMMAND_STDOUT": "stdout", "PULUMI_COMMAND_STDERR": "stderr"} {
		if value := textOf(previous.Get(name)); value != "" {
			variables[variable] = value
		}
	}
	return variables
}

// hasSecrets says whether the output may contain a secret.
func hasSecrets(inputs property.Map) bool {
	return property.New(inputs.Delete("triggers", "stdout", "stderr", "assets", "archive")).HasSecrets()
}

func textOf(value property.Value) string {
	if value.IsString() {
		return value.AsString()
	}
	return ""
}

func stringsOf(value property.Value) []string {
	if !value.IsArray() {
		return nil
	}
	var items []string
	for _, item := range value.AsArray().All {
		items = append(items, item.AsString())
	}
	return items
}

func stringMapOf(value property.Value) map[string]string {
	entries := map[string]string{}
	if value.IsMap() {
		for name, entry := range value.AsMap().All {
			entries[name] = textOf(entry)
		}
	}
	return entries
}

// shown is the command as a message may quote it.
func shown(line property.Value, hide *redactor) string {
	if line.Secret() {
		return "the command (which is secret)"
	}
	const longest = 300
	text := hide.in(strings.TrimSpace(line.AsString()))
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	return fmt.Sprintf("the command `%s`", text)
}

func warn(ctx context.Context, format string, arguments ...any) {
	p.GetLogger(context.WithoutCancel(ctx)).Warningf(format, arguments...)
}
