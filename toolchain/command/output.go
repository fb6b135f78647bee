package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// output keeps what a command says, and shows it line by line as far as `logging` allows, without secrets.
type output struct {
	stdout, stderr stream
	lines          *queue
	hide           *redactor
}

func newOutput(ctx context.Context, inputs property.Map) *output {
	logging := "stdoutAndStderr"
	if chosen := inputs.Get("logging"); chosen.IsString() {
		logging = chosen.AsString()
	}
	hide := newRedactor(inputs)
	log := p.GetLogger(context.WithoutCancel(ctx))
	lines := startQueue(func(line string) { log.Info(hide.in(line)) })
	show := lines.add
	return &output{
		hide:   hide,
		lines:  lines,
		stdout: stream{shown: logging == "stdout" || logging == "stdoutAndStderr", show: show},
		stderr: stream{shown: logging == "stderr" || logging == "stdoutAndStderr", show: show},
	}
}

func (o *output) close() {
	o.stdout.flush()
	o.stderr.flush()
	o.lines.close()
}

// failure says what failed and what the command said, as far as `logging` allows: who switches it off says that the output has secrets.
func (o *output) failure(err error, line property.Value) error {
	message := fmt.Sprintf("%s failed: %s", shown(line, o.hide), o.hide.in(err.Error()))
	for _, part := range []struct {
		name   string
		stream *stream
	}{{"stdout", &o.stdout}, {"stderr", &o.stderr}} {
		switch said := part.stream.text(); {
		case said == "":
		case !part.stream.shown:
			message += fmt.Sprintf("\nIts %s is not shown, because of `logging`.", part.name)
		default:
			message += fmt.Sprintf("\n%s:\n%s", part.name, o.hide.in(tail(said)))
		}
	}
	return errors.New(message)
}

// tail keeps a message readable, and below what the engine takes in one.
func tail(text string) string {
	const longest = 16 << 10
	if len(text) <= longest {
		return text
	}
	return "..." + strings.ToValidUTF8(text[len(text)-longest:], "")
}

// stream is a writer that keeps everything and shows complete lines.
type stream struct {
	shown bool
	show  func(line string)

	mutex   sync.Mutex
	kept    bytes.Buffer
	pending []byte
}

func (s *stream) Write(data []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.kept.Write(data)
	if !s.shown {
		return len(data), nil
	}
	s.pending = append(s.pending, data...)
	for {
		end := bytes.IndexByte(s.pending, '\n')
		if end < 0 {
			return len(data), nil
		}
		s.show(strings.ToValidUTF8(string(s.pending[:end]), "\uFFFD"))
		s.pending = s.pending[end+1:]
	}
}

func (s *stream) flush() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.pending) > 0 {
		s.show(strings.ToValidUTF8(string(s.pending), "\uFFFD"))
		s.pending = nil
	}
}

// text is what was said, without the last newline. Property values are UTF-8, command output may not be.
func (s *stream) text() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return strings.ToValidUTF8(strings.TrimSuffix(s.kept.String(), "\n"), "\uFFFD")
}

// queue shows lines in their order. Whoever adds one does not wait for the engine, so a pipe is read as fast as it is filled.
type queue struct {
	mutex   sync.Mutex
	waiting []string
	changed *sync.Cond
	closed  bool
	done    chan struct{}
}

func startQueue(show func(line string)) *queue {
	q := &queue{done: make(chan struct{})}
	q.changed = sync.NewCond(&q.mutex)
	go func() {
		defer close(q.done)
		for {
			lines, more := q.take()
			for _, line := range lines {
				show(line)
			}
			if !more {
				return
			}
		}
	}()
	return q
}

func (q *queue) add(line string) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.waiting = append(q.waiting, line)
	q.changed.Signal()
}

func (q *queue) take() (lines []string, more bool) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.changed.Wait()
	}
	lines, q.waiting = q.waiting, nil
	return lines, len(lines) > 0
}

// close waits until every line is shown.
func (q *queue) close() {
	q.mutex.Lock()
	q.closed = true
	q.changed.Signal()
	q.mutex.Unlock()
	<-q.done
}
