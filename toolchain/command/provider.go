package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/middleware/cancel"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/urn"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// kindOf refuses what the official plugin has and this one does not: the program reaches hosts by the ssh command.
func kindOf(token string) (command, error) {
	if token == localCommand {
		return command{runLocally}, nil
	}
	return command{}, fmt.Errorf("%s: this build of the plugin does not have it, only %s, so nothing was done.\n"+
		"Use the official plugin, for example: pulumi plugin install resource command %s", token, localCommand, version)
}

func newProvider() p.Provider {
	return cancel.Wrap(p.Provider{
		GetSchema: getSchema,
		Check:     check,
		Diff:      diff,
		Create:    create,
		Read:      read,
		Update:    update,
		Delete:    remove,
		Invoke:    invoke,
	})
}

func check(_ context.Context, request p.CheckRequest) (p.CheckResponse, error) {
	token := string(request.Urn.Type())
	if _, err := kindOf(token); err != nil {
		return p.CheckResponse{}, err
	}
	return p.CheckResponse{Inputs: request.Inputs, Failures: checkInputs(token, request.Inputs)}, nil
}

func diff(_ context.Context, request p.DiffRequest) (p.DiffResponse, error) {
	changes := map[string]p.PropertyDiff{}
	for name := range packageSchema.Resources[string(request.Urn.Type())].InputProperties {
		before, had := request.OldInputs.GetOk(name)
		after, has := request.Inputs.GetOk(name)
		replace := name == "triggers"
		switch {
		case had && !has:
			changes[name] = p.PropertyDiff{Kind: either(replace, p.DeleteReplace, p.Delete), InputDiff: true}
		case has && !had:
			changes[name] = p.PropertyDiff{Kind: either(replace, p.AddReplace, p.Add), InputDiff: true}
		case !sameValue(before, after):
			changes[name] = p.PropertyDiff{Kind: either(replace, p.UpdateReplace, p.Update), InputDiff: true}
		}
	}
	// A delete command undoes what create did, so it has to run before create does it anew.
	_, replaced := changes["triggers"]
	return p.DiffResponse{HasChanges: len(changes) > 0, DetailedDiff: changes, DeleteBeforeReplace: replaced}, nil
}

func create(ctx context.Context, request p.CreateRequest) (p.CreateResponse, error) {
	kind, err := kindOf(string(request.Urn.Type()))
	if err != nil {
		return p.CreateResponse{}, err
	}
	if request.DryRun {
		return p.CreateResponse{Properties: kind.preview(request.Properties, property.Map{})}, nil
	}
	id, err := newID(request.Urn)
	if err != nil {
		return p.CreateResponse{}, err
	}
	state, err := kind.create(ctx, request.Properties)
	if err != nil {
		return p.CreateResponse{}, err
	}
	return p.CreateResponse{ID: id, Properties: state}, nil
}

func newID(urn urn.URN) (string, error) { return resource.NewUniqueHex(urn.Name(), 8, 0) }

// read changes nothing: what a command did cannot be read back.
func read(_ context.Context, request p.ReadRequest) (p.ReadResponse, error) {
	if request.Properties.Len() == 0 {
		return p.ReadResponse{}, fmt.Errorf("%s %q cannot be imported: what a command did cannot be read back from the host.\n"+
			"Declare it without an import option, with a create that may run twice, for example: mkdir -p /srv/data",
			request.Urn.Type(), request.Urn.Name())
	}
	return p.ReadResponse{ID: request.ID, Properties: request.Properties, Inputs: request.Inputs}, nil
}

func update(ctx context.Context, request p.UpdateRequest) (p.UpdateResponse, error) {
	kind, err := kindOf(string(request.Urn.Type()))
	if err != nil {
		return p.UpdateResponse{}, err
	}
	if request.DryRun {
		return p.UpdateResponse{Properties: kind.preview(request.Inputs, request.State)}, nil
	}
	state, err := kind.update(ctx, request.Inputs, request.State)
	return p.UpdateResponse{Properties: state}, err
}

func remove(ctx context.Context, request p.DeleteRequest) error {
	kind, err := kindOf(string(request.Urn.Type()))
	if err != nil {
		return err
	}
	return kind.delete(ctx, request.Properties)
}

func invoke(ctx context.Context, request p.InvokeRequest) (p.InvokeResponse, error) {
	if request.Token != localRun {
		return p.InvokeResponse{}, fmt.Errorf("this plugin has no function %s; it has %s", request.Token, localRun)
	}
	if failures := checkProperties("local.run", runSpec().Inputs, request.Args); len(failures) > 0 {
		return p.InvokeResponse{Failures: failures}, nil
	}
	state, err := command{runLocally}.run(ctx, request.Args.Get("command"), request.Args, property.Map{})
	return p.InvokeResponse{Return: state}, err
}

// sameValue leaves secretness aside: a value that became secret is no reason to run a command again.
func sameValue(a, b property.Value) bool { return plain(a).Equals(plain(b)) }

func plain(value property.Value) property.Value {
	value = value.WithSecret(false).WithDependencies(nil)
	switch {
	case value.IsArray():
		items := value.AsArray().AsSlice()
		for i := range items {
			items[i] = plain(items[i])
		}
		return property.New(items)
	case value.IsMap():
		entries := value.AsMap().AsMap()
		for key := range entries {
			entries[key] = plain(entries[key])
		}
		return property.New(entries)
	}
	return value
}

func either[T any](condition bool, yes, no T) T {
	if condition {
		return yes
	}
	return no
}

func sortedKeys[V any](entries map[string]V) []string { return slices.Sorted(maps.Keys(entries)) }
