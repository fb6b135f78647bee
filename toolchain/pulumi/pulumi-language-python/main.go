// Command pulumi-language-python is the engine's door to programs written in Python.
//
// The engine starts it three times for one `up`, and only two of those run the program. So it answers what needs no Python
// itself, at once, and starts the host in Python (../../python/language_host.py) for the calls that do. A policy pack is a
// process of its own, started beside that host.
package main

import (
	"bufio"
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
	"google.golang.org/grpc/credentials/insecure"
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
		host.processes.close()
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
	processes processes
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
		return nil, fmt.Errorf("%s does not run: %w", python, err)
	}
	_, number, _ := strings.Cut(strings.TrimSpace(string(shown)), " ")
	return &pulumirpc.AboutResponse{Executable: python, Version: number}, nil
}

func (h *languageHost) GetRequiredPackages(
	ctx context.Context, request *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	client, err := h.host()
	if err != nil {
		return nil, err
	}
	return client.GetRequiredPackages(ctx, request)
}

func (h *languageHost) GetProgramDependencies(
	ctx context.Context, request *pulumirpc.GetProgramDependenciesRequest,
) (*pulumirpc.GetProgramDependenciesResponse, error) {
	client, err := h.host()
	if err != nil {
		return nil, err
	}
	return client.GetProgramDependencies(ctx, request)
}

func (h *languageHost) Run(ctx context.Context, request *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	client, err := h.host()
	if err != nil {
		return nil, err
	}
	return client.Run(ctx, request)
}

func (h *languageHost) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	h.processes.close()
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
	process.Stderr = os.Stderr
	output, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if _, err := h.processes.start(process); err != nil {
		return nil, fmt.Errorf("the program's python does not start: %w", err)
	}
	reader := bufio.NewReader(output)
	port, err := reader.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the program's python (%s) ended before it was ready", process.Path)
	}
	go func() { _, _ = io.Copy(os.Stdout, reader) }()
	connection, err := grpc.NewClient(
		"127.0.0.1:"+strings.TrimSpace(port),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		rpcutil.GrpcChannelOptions(),
	)
	if err != nil {
		return nil, err
	}
	h.python = pulumirpc.NewLanguageRuntimeClient(connection)
	return h.python, nil
}

// processes are those started here, which end with this one.
type processes struct {
	mutex  sync.Mutex
	closed bool
	stops  []func()
}

func (p *processes) start(command *exec.Cmd) (stop func(), err error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.closed {
		return nil, errors.New("the language host is stopping")
	}
	// Its own process group: Ctrl-C is for the engine, which then cancels its plugins in order.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, err
	}
	stop = func() { _ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM) }
	p.stops = append(p.stops, stop)
	return stop, nil
}

func (p *processes) close() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.closed = true
	for _, stop := range p.stops {
		stop()
	}
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
