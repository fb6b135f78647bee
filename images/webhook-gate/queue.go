package main

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Event is a verified event as it lies on disk, its body byte by byte.
type Event struct {
	Path     string    `json:"path"`
	To       string    `json:"to"`
	Name     string    `json:"name"`
	Delivery string    `json:"delivery"`
	Keys     []string  `json:"keys"`
	Received time.Time `json:"received"`
	Body     []byte    `json:"body"`
}

var (
	errSeen = errors.New("seen before")
	errFull = errors.New("more events wait, or are remembered, than the gate keeps")
)

const (
	mostSeen      = 50_000 // 9 MiB
	atOnce        = 4
	keepTrying    = 24 * time.Hour
	longestPause  = 30 * time.Second
	longestWait   = time.Hour // What an API may ask for.
	forgetsEvery  = time.Hour
	waiting       = "queue"
	remembered    = "seen"
	given         = "given-up"
	temporaryName = ".new"
)

// Queue keeps events until they are delivered, and their keys until they are too old to come again.
//
// An event is a file below queue/; once delivered it is an empty file per key below seen/.
type Queue struct {
	directory string
	window    time.Duration
	most      int

	mutex  sync.Mutex
	seen   map[string]time.Time
	queued int
	gaveUp int
	found  []string
	added  chan string
}

func openQueue(directory string, configuration *Configuration) (*Queue, error) {
	queue := &Queue{
		directory: directory, window: time.Duration(configuration.WindowHours) * time.Hour, most: configuration.MostQueued,
		seen: map[string]time.Time{}, added: make(chan string, configuration.MostQueued),
	}
	for _, name := range []string{waiting, remembered, given} {
		if err := os.MkdirAll(filepath.Join(directory, name), 0o700); err != nil {
			return nil, err
		}
	}
	keys, err := os.ReadDir(filepath.Join(directory, remembered))
	if err != nil {
		return nil, err
	}
	for _, entry := range keys {
		if information, err := entry.Info(); err == nil {
			queue.seen[entry.Name()] = information.ModTime()
		}
	}
	files, err := os.ReadDir(filepath.Join(directory, waiting))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if strings.HasSuffix(file.Name(), temporaryName) {
			_ = os.Remove(filepath.Join(directory, waiting, file.Name())) // Never acknowledged.
			continue
		}
		event, err := queue.load(file.Name())
		if err != nil {
			return nil, err
		}
		for _, key := range event.Keys {
			queue.seen[key] = event.Received
		}
		queue.found = append(queue.found, file.Name())
		queue.queued++
	}
	lost, err := os.ReadDir(filepath.Join(directory, given))
	queue.gaveUp = len(lost)
	return queue, err
}

// put returns once the event would survive a loss of power.
func (queue *Queue) put(event Event) error {
	if err := queue.claim(event); err != nil {
		return err
	}
	name := fmt.Sprintf("%d-%s", event.Received.UnixNano(), event.Keys[0][:16])
	if err := queue.write(name, event); err != nil {
		queue.mutex.Lock()
		defer queue.mutex.Unlock()
		for _, key := range event.Keys {
			delete(queue.seen, key)
		}
		queue.queued--
		return err
	}
	queue.added <- name
	return nil
}

func (queue *Queue) claim(event Event) error {
	queue.mutex.Lock()
	defer queue.mutex.Unlock()
	for _, key := range event.Keys {
		if _, found := queue.seen[key]; found {
			return errSeen
		}
	}
	if queue.queued >= queue.most || len(queue.seen) >= mostSeen {
		return errFull
	}
	for _, key := range event.Keys {
		queue.seen[key] = event.Received
	}
	queue.queued++
	return nil
}

func (queue *Queue) write(name string, event Event) error {
	text, err := json.Marshal(event)
	if err != nil {
		return err
	}
	path := filepath.Join(queue.directory, waiting, name)
	file, err := os.OpenFile(path+temporaryName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(path+temporaryName, path)
	}
	if err != nil {
		_ = os.Remove(path + temporaryName)
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

func (queue *Queue) load(name string) (Event, error) {
	var event Event
	text, err := os.ReadFile(filepath.Join(queue.directory, waiting, name))
	if err != nil {
		return event, err
	}
	if err := json.Unmarshal(text, &event); err != nil {
		return event, fmt.Errorf("%s/%s is no event of ours: move it away to start: %w", waiting, name, err)
	}
	return event, nil
}

// turn is when an event is tried next, and how long it waits when that fails.
type turn struct {
	name  string
	due   time.Time
	pause time.Duration
}

// turns is a heap: who is due first, and of those the oldest, for names begin with the time.
type turns []turn

func (turns turns) Len() int          { return len(turns) }
func (turns turns) Swap(one, two int) { turns[one], turns[two] = turns[two], turns[one] }
func (turns *turns) Push(each any)    { *turns = append(*turns, each.(turn)) }
func (turns turns) Less(one, two int) bool {
	return turns[one].due.Before(turns[two].due) || turns[one].due.Equal(turns[two].due) && turns[one].name < turns[two].name
}

func (turns *turns) Pop() any {
	last := (*turns)[len(*turns)-1]
	*turns = (*turns)[:len(*turns)-1]
	return last
}

// deliver starts handing out what waits, oldest first, a few at once; what fails waits longer each time. An event that waits
// is a line in a list and no goroutine: ten thousand of those took more memory than the gate has.
func (queue *Queue) deliver(ctx context.Context, take func(context.Context, Event) error) {
	go func() {
		var waiting turns
		for _, name := range queue.found {
			heap.Push(&waiting, turn{name: name, pause: time.Second})
		}
		ended := make(chan turn, atOnce)
		forget, next := time.NewTicker(forgetsEvery), time.NewTimer(0)
		defer forget.Stop()
		for free := atOnce; ; {
			for free > 0 && len(waiting) > 0 && !waiting[0].due.After(time.Now()) {
				each := heap.Pop(&waiting).(turn)
				free--
				go func() {
					done, wait := queue.attempt(ctx, each.name, take)
					if done {
						each.name = ""
					}
					each.pause = max(each.pause, wait)
					ended <- each
				}()
			}
			if free > 0 && len(waiting) > 0 {
				next.Reset(time.Until(waiting[0].due))
			}
			select {
			case <-ctx.Done():
				return
			case <-next.C:
			case <-forget.C:
				queue.forget(time.Now())
			case name := <-queue.added:
				heap.Push(&waiting, turn{name: name, due: time.Now(), pause: time.Second})
			case each := <-ended:
				free++
				if each.name != "" {
					each.due, each.pause = time.Now().Add(each.pause), min(2*each.pause, longestPause)
					heap.Push(&waiting, each)
				}
			}
		}
	}()
}

// attempt tells whether the event needs no other one, or how long the next one is asked to wait.
func (queue *Queue) attempt(ctx context.Context, name string, take func(context.Context, Event) error) (bool, time.Duration) {
	event, err := queue.load(name)
	if err != nil {
		slog.Error(err.Error())
		return true, 0
	}
	var later errLater
	err = take(ctx, event)
	switch {
	case err == nil:
		queue.finish(name, event, "")
		return true, 0
	case ctx.Err() != nil:
		return false, 0
	case errors.Is(err, errFinal), time.Since(event.Received) > keepTrying:
		slog.Error("given up", "path", event.Path, "delivery", event.Delivery, "why", err.Error())
		queue.finish(name, event, given)
		return true, 0
	}
	slog.Warn("not taken", "path", event.Path, "delivery", event.Delivery, "why", err.Error())
	if errors.As(err, &later) {
		return false, later.wait
	}
	return false, 0
}

func (queue *Queue) finish(name string, event Event, keptIn string) {
	for _, key := range event.Keys {
		path := filepath.Join(queue.directory, remembered, key)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			slog.Error(err.Error())
		}
		_ = os.Chtimes(path, event.Received, event.Received)
	}
	path := filepath.Join(queue.directory, waiting, name)
	var err error
	if keptIn == "" {
		err = os.Remove(path)
	} else {
		err = os.Rename(path, filepath.Join(queue.directory, keptIn, name))
	}
	if err != nil {
		slog.Error(err.Error())
	}
	queue.mutex.Lock()
	defer queue.mutex.Unlock()
	queue.queued--
	if keptIn != "" {
		queue.gaveUp++
	}
}

// forget drops the keys of events that would now be refused for their age, a sender whose clock is ahead included.
func (queue *Queue) forget(now time.Time) {
	queue.mutex.Lock()
	defer queue.mutex.Unlock()
	for key, received := range queue.seen {
		if now.Sub(received) > queue.window+clockSkew {
			path := filepath.Join(queue.directory, remembered, key)
			if _, err := os.Stat(path); err == nil { // What still waits has no file there yet.
				_ = os.Remove(path)
				delete(queue.seen, key)
			}
		}
	}
}

func (queue *Queue) counts() (queued, gaveUp, seen int) {
	queue.mutex.Lock()
	defer queue.mutex.Unlock()
	return queue.queued, queue.gaveUp, len(queue.seen)
}
