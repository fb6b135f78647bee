package main

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// This file is the same in each of our programs (tests/unit/test_own_programs.py): what a stranger can cost one of their
// ports before anything was asked. A connection holds about 40 KiB with its head, so a port at most 10 MiB.
const (
	mostConnections = 256
	mostOfOne       = 64
	largestHead     = 16 << 10
	headWithin      = 5 * time.Second
)

// newServer is a server whose clients must say soon and briefly what they want.
func newServer(handler http.Handler) *http.Server {
	// Longer than Caddy keeps an idle connection to a service: a request never meets one that is being closed.
	return &http.Server{Handler: handler, ReadHeaderTimeout: headWithin, IdleTimeout: 3 * time.Minute, MaxHeaderBytes: largestHead}
}

// listen opens a port that closes at once what comes above its number, or above one address' share of it.
func listen(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return &door{Listener: listener, inside: map[string]int{}}, nil
}

type door struct {
	net.Listener

	mutex  sync.Mutex
	inside map[string]int
	total  int
}

func (door *door) Accept() (net.Conn, error) {
	for {
		connection, err := door.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := addressOf(connection.RemoteAddr().String())
		if door.enter(from) {
			return &visitor{Conn: connection, leave: sync.OnceFunc(func() { door.leave(from) })}, nil
		}
		_ = connection.Close()
	}
}

func (door *door) enter(from string) bool {
	door.mutex.Lock()
	defer door.mutex.Unlock()
	if door.total >= mostConnections || door.inside[from] >= mostOfOne {
		return false
	}
	door.inside[from]++
	door.total++
	return true
}

func (door *door) leave(from string) {
	door.mutex.Lock()
	defer door.mutex.Unlock()
	door.total--
	if door.inside[from]--; door.inside[from] == 0 {
		delete(door.inside, from)
	}
}

type visitor struct {
	net.Conn
	leave func()
}

func (visitor *visitor) Close() error {
	visitor.leave()
	return visitor.Conn.Close()
}

func addressOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}
