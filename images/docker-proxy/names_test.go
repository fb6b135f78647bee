package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

func resolving(t *testing.T, network string) (*net.Resolver, *[]string) {
	names, err := newNames("127.0.0.1", []string{network + "=127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	names.lookup = func(_ context.Context, name string) ([]netip.Addr, error) {
		told = append(told, name)
		if name != "litellm.javisi_sandbox" {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr("172.20.5.2")}, nil
	}
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	go names.serve(socket)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp4", socket.LocalAddr().String())
	}
	return &net.Resolver{PreferGo: true, Dial: dial}, &told
}

func TestAClosedNetworkResolvesItsOwnNamesAndNoOther(t *testing.T) {
	resolver, told := resolving(t, "javisi_sandbox")
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	found, err := resolver.LookupNetIP(ctx, "ip", "litellm.javisi_sandbox.")
	if err != nil || len(found) != 1 || found[0].Unmap().String() != "172.20.5.2" {
		t.Errorf("%v %v", found, err)
	}
	*told = nil
	for _, name := range []string{"stolen.attacker.test.", "litellm.", "litellm.javisi_backend.", "a.b.javisi_sandbox.", "javisi_sandbox.", "x.javisi_sandbox.attacker.test."} {
		if found, err := resolver.LookupNetIP(ctx, "ip", name); err == nil {
			t.Errorf("%s: %v", name, found)
		}
	}
	if len(*told) != 0 {
		t.Errorf("asked for %v", *told)
	}
}

func TestWhoIsOfNoNetworkResolvesNothing(t *testing.T) {
	names, _ := newNames("127.0.0.1", []string{"javisi_sandbox=10.117.0.0/24"})
	if network := names.networkOf(netip.MustParseAddr("10.117.1.2")); network != "" {
		t.Errorf("%s", network)
	}
	if _, err := newNames("127.0.0.1", []string{"javisi_sandbox"}); err == nil {
		t.Error("a network without a range")
	}
}

// FuzzQuestion: whatever a sandbox sends, its answer is a query's own head and question, or there is none.
func FuzzQuestion(f *testing.F) {
	f.Add([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07litellm\x0ejavisi_sandbox\x00\x00\x01\x00\x01"), "javisi_sandbox")
	f.Add([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"), "")
	names := &Names{lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("172.20.5.2")}, nil
	}}
	f.Fuzz(func(t *testing.T, query []byte, network string) {
		answer := names.answer(query, network)
		if answer == nil {
			return
		}
		if len(answer) > len(query)+16 || answer[0] != query[0] || answer[1] != query[1] || answer[2]&0x80 == 0 {
			t.Errorf("%q: %q", query, answer)
		}
	})
}
