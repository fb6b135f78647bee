package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	largestJob  = 512 << 10 // An issue has 65,536 characters, and JSON may write one with 6.
	askedFor    = 25 * time.Second
	takenWithin = 10 * time.Second
)

// Jobs hands a job from n8n, which offers it, to a worker on another host, who asks for it: nobody calls the worker's host.
//
// Nothing is kept here. An offer that nobody takes is refused soon, and the event that led to it waits in the queue: a
// worker that is busy does not ask, so it has one job at a time.
type Jobs struct {
	token string
	offer chan offered

	bodies Bodies

	mutex sync.Mutex
	taken map[string]chan struct{}
}

type offered struct {
	id   string
	body []byte
}

func newJobs(token string) http.Handler {
	jobs := &Jobs{token: token, offer: make(chan offered), taken: map[string]chan struct{}{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /jobs", jobs.propose)
	mux.HandleFunc("GET /jobs/next", jobs.next)
	mux.HandleFunc("POST /jobs/{id}/taken", jobs.take)
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if subtle.ConstantTimeCompare([]byte(request.Header.Get("Authorization")), []byte("Bearer "+token)) != 1 {
			say(writer, http.StatusUnauthorized, map[string]string{"error": "the token is missing or wrong"})
			return
		}
		mux.ServeHTTP(writer, request)
	})
}

// propose answers 202 once a worker has said that it has the job.
func (jobs *Jobs) propose(writer http.ResponseWriter, request *http.Request) {
	var body []byte
	refusal := jobs.bodies.read(writer, request, largestJob, func(text []byte) *Refusal { body = text; return nil })
	if refusal == nil && !json.Valid(body) {
		refusal = refuse(http.StatusBadRequest, "form", "the job is no JSON")
	}
	if refusal != nil {
		say(writer, refusal.status, map[string]string{"error": refusal.why})
		return
	}
	number := make([]byte, 16)
	_, _ = rand.Read(number)
	job := offered{id: hex.EncodeToString(number), body: body}
	taken := make(chan struct{})
	jobs.mutex.Lock()
	jobs.taken[job.id] = taken
	jobs.mutex.Unlock()
	// Whether the job was withdrawn before a worker took it.
	withdraw := func() bool {
		jobs.mutex.Lock()
		defer jobs.mutex.Unlock()
		_, open := jobs.taken[job.id]
		delete(jobs.taken, job.id)
		return open
	}
	defer withdraw()
	ctx, cancel := context.WithTimeout(request.Context(), takenWithin)
	defer cancel()
	select {
	case jobs.offer <- job:
	case <-ctx.Done():
		say(writer, http.StatusServiceUnavailable, map[string]string{"error": "no worker asks for a job: it is busy or away"})
		return
	}
	select {
	case <-taken:
	case <-ctx.Done():
		if withdraw() {
			say(writer, http.StatusServiceUnavailable, map[string]string{"error": "the worker was shown the job and did not take it"})
			return
		}
	}
	slog.Info("job taken", "job", job.id)
	say(writer, http.StatusAccepted, map[string]string{"job": job.id})
}

// next waits for a job, and answers 204 when there is none for a while or the gate stops.
func (jobs *Jobs) next(writer http.ResponseWriter, request *http.Request) {
	ctx, cancel := context.WithTimeout(request.Context(), askedFor)
	defer cancel()
	select {
	case job := <-jobs.offer:
		writer.Header().Set("Content-Type", "application/json")
		writer.Header().Set("X-Job", job.id)
		_, _ = writer.Write(job.body)
	case <-ctx.Done():
		writer.WriteHeader(http.StatusNoContent)
	}
}

func (jobs *Jobs) take(writer http.ResponseWriter, request *http.Request) {
	jobs.mutex.Lock()
	defer jobs.mutex.Unlock()
	id := request.PathValue("id")
	taken, found := jobs.taken[id]
	if !found {
		say(writer, http.StatusGone, map[string]string{"error": "this job is not offered any more"})
		return
	}
	delete(jobs.taken, id)
	close(taken)
	say(writer, http.StatusOK, map[string]string{"job": id})
}
