package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

const (
	// cancelGrace is how long a cancelled command may take to end by itself.
	cancelGrace = 5 * time.Second
	// lateOutput is how long output is read on after the command ended. A background process that it left may hold the pipe for ever.
	lateOutput = time.Second
)

// runLocally runs a command in a session of its own, so that cancelling ends its children too, and nothing can ask for a password at the terminal.
func runLocally(ctx context.Context, line string, inputs property.Map, environment map[string]string, output *output) error {
	interpreter := stringsOf(inputs.Get("interpreter"))
	if len(interpreter) == 0 {
		interpreter = []string{"/bin/sh", "-c"}
	}
	process := exec.Command(interpreter[0], append(interpreter[1:], line)...)
	process.Dir = textOf(inputs.Get("dir"))
	process.Stdin = strings.NewReader(textOf(inputs.Get("stdin")))
	process.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	process.Env = os.Environ()
	for _, variables := range []map[string]string{environment, stringMapOf(inputs.Get("environment"))} {
		for name, value := range variables {
			process.Env = append(process.Env, name+"="+value)
		}
	}
	if process.Dir != "" {
		if info, err := os.Stat(process.Dir); err != nil || !info.IsDir() {
			return fmt.Errorf("dir %s is no directory here, so the command was not started; create it first, or leave dir out", process.Dir)
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("it was not started, because the deployment was cancelled")
	}
	finish, err := pipeOutput(process, output)
	if err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		finish(0)
		return startFailure(err, interpreter[0])
	}
	ended := make(chan error, 1)
	go func() { ended <- process.Wait() }()
	select {
	case err = <-ended:
		finish(lateOutput)
		return exitFailure(err)
	case <-ctx.Done():
		endProcesses(process.Process.Pid, ended)
		finish(0)
		return cancelled(ctx)
	}
}

// pipeOutput gives the process pipes of our own: exec's would wait until background processes close them. The result is called once the process ended.
func pipeOutput(process *exec.Cmd, output *output) (finish func(patience time.Duration), err error) {
	var reading sync.WaitGroup
	var readers, writers []*os.File
	for _, stream := range []*stream{&output.stdout, &output.stderr} {
		reader, writer, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		readers, writers = append(readers, reader), append(writers, writer)
		reading.Add(1)
		go func() {
			defer reading.Done()
			_, _ = io.Copy(stream, reader)
		}()
	}
	process.Stdout, process.Stderr = writers[0], writers[1]
	return func(patience time.Duration) {
		for _, writer := range writers {
			_ = writer.Close()
		}
		for _, reader := range readers {
			_ = reader.SetReadDeadline(time.Now().Add(patience))
		}
		reading.Wait()
		for _, reader := range readers {
			_ = reader.Close()
		}
	}, nil
}

func startFailure(err error, program string) error {
	if errors.Is(err, syscall.E2BIG) {
		return fmt.Errorf("its arguments and environment are larger than the system allows; pass data by stdin, " +
			"and when the previous output is what is large, set addPreviousOutputInEnv to false")
	}
	return fmt.Errorf("%s did not start (%w); name a program that is installed as interpreter, for example: [\"/bin/sh\", \"-c\"]", program, err)
}

func exitFailure(err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return fmt.Errorf("exit status %d", exit.ExitCode())
	default:
		return err
	}
}

// endProcesses asks all processes of the session's group to end, and makes those end that do not.
func endProcesses(group int, ended <-chan error) {
	_ = syscall.Kill(-group, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(cancelGrace):
	}
	_ = syscall.Kill(-group, syscall.SIGKILL)
}

func cancelled(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("it did not end in time and was stopped; allow more with custom_timeouts, for example: " +
			`pulumi.CustomTimeouts(create="20m")`)
	}
	return fmt.Errorf("it was stopped, because the deployment was cancelled")
}
