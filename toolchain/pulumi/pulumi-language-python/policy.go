package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// RunPlugin runs a policy pack.
func (h *languageHost) RunPlugin(
	request *pulumirpc.RunPluginRequest, server grpc.ServerStreamingServer[pulumirpc.RunPluginResponse],
) error {
	if request.GetKind() != string(apitype.AnalyzerPlugin) {
		return status.Errorf(codes.Unimplemented, "Python %s plugins cannot be run, only policy packs.", request.GetKind())
	}
	// The program comes next: its host imports the SDK while the pack does.
	go func() { _, _ = h.host() }()
	// The pack's own main, not the SDK's `-m pulumi.policy`, which imports all of itself for packs that ask it for settings.
	arguments := append([]string{"-u", request.GetInfo().GetProgramDirectory()}, request.GetArgs()...)
	process := exec.Command(projectPython(), arguments...)
	process.Dir, process.Env = request.GetPwd(), request.GetEnv()
	var piped *pipedPack
	if request.GetInfo().GetOptions().GetFields()["pipe"].GetBoolValue() {
		var err error
		if piped, err = pipe(process); err != nil {
			return err
		}
		defer piped.close()
	}
	var sending sync.Mutex
	send := func(response *pulumirpc.RunPluginResponse) error {
		sending.Lock()
		defer sending.Unlock()
		return server.Send(response)
	}
	started, err := h.children.start(
		process,
		writer(func(chunk []byte) error {
			return send(&pulumirpc.RunPluginResponse{Output: &pulumirpc.RunPluginResponse_Stdout{Stdout: chunk}})
		}),
		writer(func(chunk []byte) error {
			return send(&pulumirpc.RunPluginResponse{Output: &pulumirpc.RunPluginResponse_Stderr{Stderr: chunk}})
		}),
	)
	if err != nil {
		return fmt.Errorf("the policy pack's python does not start: %w", err)
	}
	defer context.AfterFunc(server.Context(), started.stop)()
	if piped != nil {
		piped.started(started)
		port := []byte(fmt.Sprintf("%d\n", piped.port()))
		if err := send(&pulumirpc.RunPluginResponse{Output: &pulumirpc.RunPluginResponse_Stdout{Stdout: port}}); err != nil {
			return err
		}
	}
	<-started.ended
	exitcode := int32(process.ProcessState.ExitCode()) //nolint:gosec // a byte, or -1
	return send(&pulumirpc.RunPluginResponse{Output: &pulumirpc.RunPluginResponse_Exitcode{Exitcode: exitcode}})
}

type writer func([]byte) error

func (w writer) Write(chunk []byte) (int, error) { return len(chunk), w(bytes.Clone(chunk)) }
