// Command pulumi-language-python is the engine's door to programs written in Python.
//
// The engine starts it three times for one `up`, and only two of those run the program. So it answers what needs no Python
// itself, at once, and starts the host in Python (../../python/language_host.py) for the calls that do. A policy pack is a
// process of its own, started beside that host.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

func main() {
	host := &languageHost{arguments: os.Args[1:]}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-stop:
		case <-engineGone(): // killed: nobody would ever call again
		}
		host.children.close()
		os.Exit(0)
	}()
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Init: func(server *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(server, host)
			return nil
		},
		Options: rpcutil.OpenTracingServerInterceptorOptions(nil),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(handle.Port)
	if err := <-handle.Done; err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func engineGone() <-chan struct{} {
	gone, engine := make(chan struct{}), os.Getppid()
	go func() {
		for os.Getppid() == engine {
			time.Sleep(time.Second)
		}
		close(gone)
	}()
	return gone
}

type languageHost struct {
	pulumirpc.UnimplementedLanguageRuntimeServer

	arguments []string
	mutex     sync.Mutex // of python
	python    pulumirpc.LanguageRuntimeClient
	program   *child // which python talks to
	children  children
}

func (h *languageHost) Handshake(
	_ context.Context, request *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	h.arguments = []string{request.GetEngineAddress()}
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

func (h *languageHost) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: strings.TrimPrefix(version.Version, "v")}, nil
}

func (h *languageHost) About(context.Context, *pulumirpc.AboutRequest) (*pulumirpc.AboutResponse, error) {
	python := projectPython()
	shown, err := exec.Command(python, "-V").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
		}
		return nil, fmt.Errorf("%s does not run: %w", python, err)
	}
	_, number, _ := strings.Cut(strings.TrimSpace(string(shown)), " ")
	return &pulumirpc.AboutResponse{Executable: python, Version: number}, nil
}

func (h *languageHost) GetRequiredPackages(
	ctx context.Context, request *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	return askPython(ctx, h, pulumirpc.LanguageRuntimeClient.GetRequiredPackages, request)
}

func (h *languageHost) GetProgramDependencies(
	ctx context.Context, request *pulumirpc.GetProgramDependenciesRequest,
) (*pulumirpc.GetProgramDependenciesResponse, error) {
	return askPython(ctx, h, pulumirpc.LanguageRuntimeClient.GetProgramDependencies, request)
}

func (h *languageHost) Run(ctx context.Context, request *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	return askPython(ctx, h, pulumirpc.LanguageRuntimeClient.Run, request)
}

// askPython passes a call on. Python may end instead of answering: killed, or out of memory.
func askPython[Q, A any](
	ctx context.Context, h *languageHost,
	method func(pulumirpc.LanguageRuntimeClient, context.Context, Q, ...grpc.CallOption) (A, error), request Q,
) (A, error) {
	client, err := h.host()
	if err != nil {
		var none A
		return none, err
	}
	answer, err := method(client, ctx, request)
	if status.Code(err) == codes.Unavailable && ctx.Err() == nil {
		err = h.program.reason(fmt.Errorf("the program's python (%s) has ended", h.program.process.Path))
	}
	return answer, err
}

func (h *languageHost) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	h.children.close()
	return &emptypb.Empty{}, nil
}

// host is the language host in Python, started at the first call that needs it.
func (h *languageHost) host() (pulumirpc.LanguageRuntimeClient, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.python != nil {
		return h.python, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	script := filepath.Join(filepath.Dir(self), "..", "python", "language_host.py")
	process := exec.Command(projectPython(), append([]string{"-u", script}, h.arguments...)...)
	first := newFirstLine(os.Stdout)
	started, err := h.children.start(process, first, os.Stderr)
	if err != nil {
		return nil, fmt.Errorf("the program's python does not start: %w", err)
	}
	var port string
	select {
	case port = <-first.line:
	case <-started.ended:
		return nil, started.reason(fmt.Errorf("the program's python (%s) ended before it was ready", process.Path))
	}
	connection, err := grpc.NewClient(
		"127.0.0.1:"+port,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		rpcutil.GrpcChannelOptions(),
	)
	if err != nil {
		return nil, err
	}
	h.program, h.python = started, pulumirpc.NewLanguageRuntimeClient(connection)
	return h.python, nil
}

// firstLine is a writer that takes the first line for itself and passes the rest on.
type firstLine struct {
	line chan string
	head []byte
	rest io.Writer
	done bool
}

func newFirstLine(rest io.Writer) *firstLine {
	return &firstLine{line: make(chan string, 1), rest: rest}
}

func (f *firstLine) Write(chunk []byte) (int, error) {
	if f.done {
		return f.rest.Write(chunk)
	}
	f.head = append(f.head, chunk...)
	line, rest, found := bytes.Cut(f.head, []byte("\n"))
	if !found {
		return len(chunk), nil
	}
	f.done = true
	f.line <- string(line)
	if _, err := f.rest.Write(rest); err != nil {
		return 0, err
	}
	return len(chunk), nil
}

// projectPython is $PULUMI_PYTHON_CMD, else the `virtualenv` option of Pulumi.yaml, else python3.
func projectPython() string {
	if python := os.Getenv("PULUMI_PYTHON_CMD"); python != "" {
		return python
	}
	directory, err := os.Getwd()
	for err == nil {
		if settings, unread := os.ReadFile(filepath.Join(directory, "Pulumi.yaml")); unread == nil {
			for _, line := range strings.Split(string(settings), "\n") {
				if name, found := strings.CutPrefix(strings.TrimSpace(line), "virtualenv:"); found {
					python := filepath.Join(directory, strings.Trim(strings.TrimSpace(name), `"'`), "bin", "python")
					if _, missing := os.Stat(python); missing == nil {
						return python
					}
				}
			}
			break
		}
		if directory == filepath.Dir(directory) {
			break
		}
		directory = filepath.Dir(directory)
	}
	return "python3"
}
