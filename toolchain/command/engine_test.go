package main

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/provider"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// engine plays Pulumi's engine: it talks to the provider over gRPC and keeps what the provider logs.
type engine struct {
	pulumirpc.UnimplementedEngineServer
	pulumirpc.ResourceProviderClient
	mutex sync.Mutex
	log   []*pulumirpc.LogRequest
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{}
	host, err := provider.NewHostClient(serve(t, func(s *grpc.Server) { pulumirpc.RegisterEngineServer(s, e) }))
	must(t, err)
	t.Cleanup(func() { _ = host.Close() })
	server, err := p.RawServer(packageName, "1.2.1", newProvider())(host)
	must(t, err)
	address := serve(t, func(s *grpc.Server) { pulumirpc.RegisterResourceProviderServer(s, server) })
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	e.ResourceProviderClient = pulumirpc.NewResourceProviderClient(connection)
	_, err = e.Configure(t.Context(), &pulumirpc.ConfigureRequest{AcceptSecrets: true, SendsOldInputs: true, SendsOldInputsToDelete: true})
	must(t, err)
	return e
}

func serve(t *testing.T, register func(*grpc.Server)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := grpc.NewServer()
	register(server)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func (e *engine) Log(_ context.Context, request *pulumirpc.LogRequest) (*emptypb.Empty, error) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.log = append(e.log, request)
	return &emptypb.Empty{}, nil
}

// logged gives what was shown to the user, debug messages included, and forgets it.
func (e *engine) logged(severities ...pulumirpc.LogSeverity) string {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	var lines []string
	for _, request := range e.log {
		if len(severities) == 0 || request.Severity == severities[0] {
			lines = append(lines, request.Message)
		}
	}
	e.log = nil
	return strings.Join(lines, "\n")
}

// stack is one resource in a stack. apply does with it what `pulumi up` does.
type stack struct {
	*engine
	token         string
	id            string
	inputs, state property.Map
}

func newStack(t *testing.T, token string) *stack {
	return &stack{engine: newEngine(t), token: token}
}

func (s *stack) urn() string { return "urn:pulumi:test::project::" + s.token + "::name" }

// failures are Check's, each as "property: reason".
type failures []string

func (f failures) Error() string { return strings.Join(f, "\n") }

func (s *stack) check(inputs property.Map) (property.Map, error) {
	response, err := s.Check(context.Background(), &pulumirpc.CheckRequest{Urn: s.urn(), News: marshal(inputs), Olds: marshal(s.inputs)})
	if err != nil {
		return property.Map{}, err
	}
	var failed failures
	for _, failure := range response.Failures {
		failed = append(failed, failure.Property+": "+failure.Reason)
	}
	if failed != nil {
		return property.Map{}, failed
	}
	return unmarshal(response.Inputs), nil
}

func (s *stack) diff(inputs property.Map) (*pulumirpc.DiffResponse, error) {
	return s.Diff(context.Background(), &pulumirpc.DiffRequest{Id: s.id, Urn: s.urn(), Olds: marshal(s.state), News: marshal(inputs), OldInputs: marshal(s.inputs)})
}

// preview gives the outputs as far as they are known before anything is done.
func (s *stack) preview(inputs property.Map) (property.Map, error) {
	inputs, err := s.check(inputs)
	if err != nil {
		return property.Map{}, err
	}
	if s.id == "" {
		response, err := s.Create(context.Background(), &pulumirpc.CreateRequest{Urn: s.urn(), Properties: marshal(inputs), Preview: true})
		return unmarshal(response.GetProperties()), err
	}
	response, err := s.Update(context.Background(), &pulumirpc.UpdateRequest{
		Id: s.id, Urn: s.urn(), Olds: marshal(s.state), News: marshal(inputs), OldInputs: marshal(s.inputs), Preview: true})
	return unmarshal(response.GetProperties()), err
}

func (s *stack) apply(inputs property.Map) error {
	inputs, err := s.check(inputs)
	if err != nil {
		return err
	}
	if s.id == "" {
		return s.create(inputs)
	}
	diff, err := s.diff(inputs)
	switch {
	case err != nil || diff.Changes == pulumirpc.DiffResponse_DIFF_NONE:
		return err
	case len(diff.Replaces) > 0 && diff.DeleteBeforeReplace:
		if err := s.destroy(); err != nil {
			return err
		}
		return s.create(inputs)
	case len(diff.Replaces) > 0:
		old := *s //nolint:govet // the copy shares the engine on purpose
		if err := s.create(inputs); err != nil {
			return err
		}
		return old.destroy()
	}
	response, err := s.Update(context.Background(), &pulumirpc.UpdateRequest{
		Id: s.id, Urn: s.urn(), Olds: marshal(s.state), News: marshal(inputs), OldInputs: marshal(s.inputs)})
	if err != nil {
		return err
	}
	s.inputs, s.state = inputs, unmarshal(response.Properties)
	return nil
}

func (s *stack) create(inputs property.Map) error {
	response, err := s.Create(context.Background(), &pulumirpc.CreateRequest{Urn: s.urn(), Properties: marshal(inputs)})
	if err != nil {
		return err
	}
	s.id, s.inputs, s.state = response.Id, inputs, unmarshal(response.Properties)
	return nil
}

func (s *stack) destroy() error {
	_, err := s.Delete(context.Background(), &pulumirpc.DeleteRequest{Id: s.id, Urn: s.urn(), Properties: marshal(s.state), OldInputs: marshal(s.inputs)})
	if err == nil {
		s.id = ""
	}
	return err
}

// output is a string output, or what else it is.
func (s *stack) output(name string) string { return textOf(s.state.Get(name)) }

var transport = plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, KeepResources: true, KeepOutputValues: true, ComputeAssetHashes: true}

func marshal(properties property.Map) *structpb.Struct {
	marshalled, err := plugin.MarshalProperties(resource.ToResourcePropertyMap(properties), transport)
	if err != nil {
		panic(err)
	}
	return marshalled
}

func unmarshal(properties *structpb.Struct) property.Map {
	unmarshalled, err := plugin.UnmarshalProperties(properties, transport)
	if err != nil {
		panic(err)
	}
	return resource.FromResourcePropertyMap(unmarshalled)
}
