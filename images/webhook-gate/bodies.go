package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	mostBodies = 8
	bodyWithin = 10 * time.Second
)

// Bodies is the room for what strangers send before anything shows who they are: a few bodies at once.
//
// Who comes when all places are taken gets that of whoever has been sending longest: an honest body is there within a
// moment, and one that is held back keeps nobody out.
type Bodies struct {
	mutex   sync.Mutex
	sending []*sending
}

type sending struct{ control *http.ResponseController }

var errDisplaced = errors.New("others came while the body did not")

// read gives the whole body, of at most `most` bytes, to `use`; the place is held until that has ended.
func (bodies *Bodies) read(writer http.ResponseWriter, request *http.Request, most int64, use func([]byte) *Refusal) *Refusal {
	tooLarge := refuse(http.StatusRequestEntityTooLarge, "size", "the body is larger than %d KiB", most>>10)
	if request.ContentLength > most {
		return tooLarge
	}
	sender := bodies.enter(http.NewResponseController(writer))
	defer bodies.leave(sender)
	var body bytes.Buffer
	body.Grow(int(max(request.ContentLength, 0)) + bytes.MinRead)
	_, err := body.ReadFrom(http.MaxBytesReader(writer, request.Body, most))
	switch exceeded := (*http.MaxBytesError)(nil); {
	case errors.As(err, &exceeded):
		return tooLarge
	case err != nil && bodies.displaced(sender):
		return refuse(http.StatusServiceUnavailable, "slow", "%v", errDisplaced)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return refuse(http.StatusBadRequest, "form", "the body ended early")
	case err != nil:
		return refuse(http.StatusRequestTimeout, "slow", "the body did not come within %s", bodyWithin)
	}
	// What still may come on this connection is the next request, which has its own time.
	_ = sender.control.SetReadDeadline(time.Time{})
	return use(body.Bytes())
}

func (bodies *Bodies) enter(control *http.ResponseController) *sending {
	bodies.mutex.Lock()
	defer bodies.mutex.Unlock()
	if len(bodies.sending) >= mostBodies {
		_ = bodies.sending[0].control.SetReadDeadline(time.Unix(1, 0))
		bodies.sending = bodies.sending[1:]
	}
	_ = control.SetReadDeadline(time.Now().Add(bodyWithin))
	sender := &sending{control: control}
	bodies.sending = append(bodies.sending, sender)
	return sender
}

func (bodies *Bodies) displaced(sender *sending) bool {
	bodies.mutex.Lock()
	defer bodies.mutex.Unlock()
	return !slices.Contains(bodies.sending, sender)
}

func (bodies *Bodies) leave(sender *sending) {
	bodies.mutex.Lock()
	defer bodies.mutex.Unlock()
	bodies.sending = slices.DeleteFunc(bodies.sending, func(each *sending) bool { return each == sender })
}
