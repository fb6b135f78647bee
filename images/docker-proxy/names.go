package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Names answers sandboxes of closed networks for the names of their network, and for no other: whoever could ask a resolver for
// any name would carry out with it whatever fits into one.
type Names struct {
	// Networks by the addresses of their sandboxes.
	networks map[netip.Prefix]string
	lookup   func(ctx context.Context, name string) ([]netip.Addr, error)
}

const (
	namesAddress = ":53"
	namesWithin  = 3 * time.Second
	// Of one sandbox or many: a lookup holds a few KiB.
	mostLookups = 32
	typeA       = 1
	noSuchName  = 3
)

// newNames takes NETWORK=RANGE for each closed network; `upstream` is whom it asks.
func newNames(upstream string, networks []string) (*Names, error) {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(upstream, "53"))
	}}
	names := &Names{networks: map[netip.Prefix]string{}, lookup: func(ctx context.Context, name string) ([]netip.Addr, error) {
		return resolver.LookupNetIP(ctx, "ip4", name+".")
	}}
	for _, each := range networks {
		name, text, _ := strings.Cut(each, "=")
		prefix, err := netip.ParsePrefix(text)
		if err != nil || name == "" {
			return nil, fmt.Errorf("%q is no network: write its name and range, e.g. javisi_sandbox=10.117.0.0/24", each)
		}
		names.networks[prefix.Masked()] = name
	}
	return names, nil
}

// serve answers until its socket is closed.
func (names *Names) serve(socket net.PacketConn) error {
	slots := make(chan struct{}, mostLookups)
	for {
		query := make([]byte, 512)
		length, from, err := socket.ReadFrom(query)
		if err != nil {
			return err
		}
		address, ok := netip.AddrFromSlice(from.(*net.UDPAddr).IP.To4())
		if !ok {
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			continue // It asks again.
		}
		go func() {
			defer func() { <-slots }()
			if answer := names.answer(query[:length], names.networkOf(address)); answer != nil {
				_, _ = socket.WriteTo(answer, from)
			}
		}()
	}
}

func (names *Names) networkOf(address netip.Addr) string {
	for prefix, name := range names.networks {
		if prefix.Contains(address) {
			return name
		}
	}
	return ""
}

// answer is the answer to a query from a sandbox of `network`, written anew; nil where it is no query.
func (names *Names) answer(query []byte, network string) []byte {
	name, kind, end := question(query)
	if end == 0 {
		return nil
	}
	made := append([]byte{}, query[:end]...)
	flags := binary.BigEndian.Uint16(query[2:])&0x0100 | 0x8080
	var found []netip.Addr
	service, inside := strings.CutSuffix(strings.ToLower(name), "."+strings.ToLower(network))
	if network == "" || !inside || !identity.MatchString(service) || strings.Contains(service, ".") {
		flags |= noSuchName
	} else if kind == typeA {
		ctx, stop := context.WithTimeout(context.Background(), namesWithin)
		defer stop()
		var err error
		if found, err = names.lookup(ctx, service+"."+network); err != nil {
			slog.Warn("not found", "name", service, "network", network, "reason", err.Error())
			flags |= noSuchName
		}
	}
	for at, value := range []uint16{flags, 1, uint16(len(found)), 0, 0} {
		binary.BigEndian.PutUint16(made[2+2*at:], value)
	}
	for _, address := range found {
		// The name above, A, IN, five seconds, four bytes.
		made = append(made, 0xc0, 12, 0, typeA, 0, 1, 0, 0, 0, 5, 0, 4)
		made = append(made, address.AsSlice()...)
	}
	return made
}

// question is the one name that a query asks for, its type, and where the question ends; 0 where that is not what it is.
func question(query []byte) (string, uint16, int) {
	if len(query) < 12 || query[2]&0xf8 != 0 || binary.BigEndian.Uint16(query[4:]) != 1 {
		return "", 0, 0
	}
	var labels []string
	at := 12
	for at < len(query) && query[at] != 0 {
		length := int(query[at])
		if length > 63 || at+1+length > len(query) {
			return "", 0, 0
		}
		labels = append(labels, string(query[at+1:at+1+length]))
		at += 1 + length
	}
	if at+5 > len(query) {
		return "", 0, 0
	}
	return strings.Join(labels, "."), binary.BigEndian.Uint16(query[at+1:]), at + 5
}
