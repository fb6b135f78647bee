package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// Two of our own in one container: the worker holds the tokens and the repository, the tool reads strangers' texts and edits
// files. They are two users without any right, and meet at a socket; this process only starts them.

const (
	editSocket = "/tmp/auto-fix"
	asWorker   = "worker"
	asTool     = "tool"
)

// apart runs the worker and the tool as their users until one ends or this process is told to stop.
func apart(arguments []string, worker, tool string) error {
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	_ = os.Remove(editSocket)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: editSocket, Net: "unix"})
	if err != nil {
		return err
	}
	if err := os.Chmod(editSocket, 0o666); err != nil {
		return err
	}
	socket, err := listener.File()
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	for _, each := range []struct {
		part, user  string
		files       []*os.File
		environment []string
	}{
		{asTool, tool, []*os.File{socket}, []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}},
		{asWorker, worker, nil, append(os.Environ(), "HOME=/work")},
	} {
		uid, gid, err := userOf(each.user)
		if err != nil {
			return err
		}
		command := exec.Command("/proc/self/exe", append([]string{"-part=" + each.part}, arguments...)...)
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
		command.Stdout, command.Stderr, command.ExtraFiles, command.Env = os.Stdout, os.Stderr, each.files, each.environment
		// It ends when its input does: another user's process can't be sent a signal.
		input, err := command.StdinPipe()
		if err != nil {
			return err
		}
		defer input.Close()
		if err := command.Start(); err != nil {
			return fmt.Errorf("%s as %s: %w", each.part, each.user, err)
		}
		go func() { ended <- fmt.Errorf("%s has ended: %w", each.part, errors.Join(command.Wait(), errEnded)) }()
	}
	slog.Info("started", "worker", worker, "tool", tool)
	select {
	case err := <-ended:
		return err
	case <-stopped.Done():
		return nil
	}
}

var errEnded = errors.New("both run, or neither")

func userOf(text string) (uint32, uint32, error) {
	user, group, _ := strings.Cut(text, ":")
	uid, err := strconv.ParseUint(user, 10, 32)
	gid, other := strconv.ParseUint(group, 10, 32)
	if err != nil || other != nil || uid == 0 || gid == 0 {
		return 0, 0, fmt.Errorf("%q is no user: write uid:gid, neither of them root's, e.g. 1000:1000", text)
	}
	return uint32(uid), uint32(gid), nil
}

// whileStarted is a context that ends when whoever started this part does.
func whileStarted() (context.Context, context.CancelFunc) {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx, cancel
}
