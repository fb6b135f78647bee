package main

import (
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// This file is the same in each of our programs (tests/unit/test_own_programs.py): what a stranger can cost one of their
// ports before anything was asked. A connection holds about 30 KiB with its head, so a port at most 4 MiB.
const (
	mostConnections = 128
	mostOfOne       = 48
	largestHead     = 8 << 10
	headWithin      = 5 * time.Second
)

// newServer is a server whose clients must say soon and briefly what they want.
func newServer(handler http.Handler) *http.Server {
	// Longer than Caddy keeps an idle connection to a service: a request never meets one that is being closed.
	return &http.Server{Handler: handler, ReadHeaderTimeout: headWithin, IdleTimeout: 3 * time.Minute, MaxHeaderBytes: largestHead}
}

// listen opens a port that has room for so many, and of one address for its share. What comes above is closed at once; when
// all is full, whoever has few connections takes the place of the oldest of whoever has most.
func listen(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return &door{Listener: listener, inside: map[string][]*visitor{}}, nil
}

type door struct {
	net.Listener

	mutex  sync.Mutex
	inside map[string][]*visitor
	total  int
}

type visitor struct {
	net.Conn
	door *door
	from string
}

func (door *door) Accept() (net.Conn, error) {
	for {
		connection, err := door.Listener.Accept()
		if err != nil {
			return nil, err
		}
		visitor := &visitor{Conn: connection, door: door, from: addressOf(connection.RemoteAddr().String())}
		if door.enter(visitor) {
			return visitor, nil
		}
		_ = connection.Close()
	}
}

func (door *door) enter(visitor *visitor) bool {
	door.mutex.Lock()
	defer door.mutex.Unlock()
	most := ""
	for from, visitors := range door.inside {
		if len(visitors) > len(door.inside[most]) {
			most = from
		}
	}
	switch {
	case len(door.inside[visitor.from]) >= mostOfOne:
		return false
	case door.total >= mostConnections && len(door.inside[most]) <= len(door.inside[visitor.from])+1:
		return false
	case door.total >= mostConnections:
		oldest := door.inside[most][0]
		door.forget(oldest)
		_ = oldest.Conn.Close()
	}
	door.inside[visitor.from] = append(door.inside[visitor.from], visitor)
	door.total++
	return true
}

func (door *door) forget(visitor *visitor) {
	visitors := door.inside[visitor.from]
	index := slices.Index(visitors, visitor)
	if index < 0 {
		return
	}
	door.total--
	if door.inside[visitor.from] = slices.Delete(visitors, index, index+1); len(visitors) == 1 {
		delete(door.inside, visitor.from)
	}
}

func (visitor *visitor) Close() error {
	visitor.door.mutex.Lock()
	visitor.door.forget(visitor)
	visitor.door.mutex.Unlock()
	return visitor.Conn.Close()
}

func addressOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}
