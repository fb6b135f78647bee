package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// patience is how long a process that has ended for its caller may take to end for the system, too.
	patience = 5 * time.Second
	// lateOutput is how long output is read on after the end: what the process left behind may hold its pipes for ever.
	lateOutput = time.Second
	// lastWords of a process, in bytes, go into the error that its end becomes.
	lastWords = 4 << 10
)

// A child is a process of ours. What it says is passed on as it comes; the last of it is kept: an error that says that a process
// ended, and not why, is none that anyone can act on.
type child struct {
	process *exec.Cmd
	said    words
	// ended is closed when the process has ended and all that it said has been passed on.
	ended chan struct{}
}

// reason is err with how the child ended and its last words, for which it waits. Without them when the child lives on.
func (c *child) reason(err error) error {
	select {
	case <-c.ended:
	case <-time.After(patience):
		return err
	}
	return fmt.Errorf("%w (%s)%s", err, c.process.ProcessState, c.said.after(". It said last:\n"))
}

// children are those of this process, which end with it.
type children struct {
	mutex  sync.Mutex
	closed bool
	all    []*child
}

// start passes on what the process says to stdout and stderr.
func (c *children) start(process *exec.Cmd, stdout, stderr io.Writer) (*child, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.closed {
		return nil, errors.New("the language host is stopping")
	}
	started := &child{process: process, ended: make(chan struct{})}
	process.Stdout, process.Stderr = io.MultiWriter(&started.said, stdout), io.MultiWriter(&started.said, stderr)
	process.WaitDelay = lateOutput
	// Its own process group: Ctrl-C is for the engine, which then cancels its plugins in order.
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := process.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = process.Wait() // which reads what was said to its end
		close(started.ended)
	}()
	c.all = append(c.all, started)
	return started, nil
}

func (c *child) stop() { _ = syscall.Kill(-c.process.Process.Pid, syscall.SIGTERM) }

// close ends all, and returns when what they said has been passed on.
func (c *children) close() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.closed = true
	for _, each := range c.all {
		each.stop()
	}
	late := time.After(lateOutput)
	for _, each := range c.all {
		select {
		case <-each.ended:
		case <-late:
			return
		}
	}
}

// words keeps the last of what is written to it.
type words struct {
	mutex sync.Mutex
	kept  []byte
}

func (w *words) Write(chunk []byte) (int, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.kept = append(w.kept, chunk...)
	if surplus := len(w.kept) - lastWords; surplus > 0 {
		w.kept = bytes.Clone(w.kept[surplus:])
	}
	return len(chunk), nil
}

// after is what was said with `before` in front; nothing when nothing was.
func (w *words) after(before string) string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	said := strings.TrimSpace(strings.ToValidUTF8(string(w.kept), ""))
	if said == "" {
		return ""
	}
	return before + said
}
