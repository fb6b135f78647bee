package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// This file is the same in each of our programs (tests/unit/test_own_programs.py): a siege by strangers, of the program in a
// process of its own, with the memory that its container has.

const (
	manyStrangers = 10_000
	fewStrangers  = 600
	strangersHold = time.Second
	honestPause   = 50 * time.Millisecond
)

// stranger sends something to one of the ports and then waits, for an answer or for its own time to be over.
type stranger struct {
	port int
	says func() io.Reader
}

func saying(text string) func() io.Reader { return func() io.Reader { return strings.NewReader(text) } }

// without is `text` and then `count` bytes of nothing in particular.
func without(text string, count int64) func() io.Reader {
	return func() io.Reader { return io.MultiReader(strings.NewReader(text), io.LimitReader(endless{}, count)) }
}

type endless struct{}

func (endless) Read(into []byte) (int, error) {
	for index := range into {
		into[index] = 'x'
	}
	return len(into), nil
}

// TestMain is also the program under siege: the servers of `sieged`, on ports of their own.
func TestMain(main *testing.M) {
	if os.Getenv("VPAI_SIEGED") == "" {
		os.Exit(main.Run())
	}
	for _, server := range sieged() {
		listener, err := listen("127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		fmt.Println(listener.Addr())
		go server.Serve(listener)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func besiege(t *testing.T, memoryMiB int, strangers []stranger, honest func(client *http.Client, ports []string) error) {
	t.Helper()
	many := manyStrangers
	if testing.Short() {
		many = fewStrangers
	}
	program := exec.Command(os.Args[0])
	program.Env = append(os.Environ(), "VPAI_SIEGED=1", fmt.Sprintf("GOMEMLIMIT=%dMiB", memoryMiB*3/4))
	input, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { input.Close(); _ = program.Wait() }()
	lines := bufio.NewScanner(output)
	ports := make([]string, 0, 3)
	for range sieged() {
		lines.Scan()
		ports = append(ports, lines.Text())
	}
	go io.Copy(io.Discard, output)

	ctx, stop := context.WithCancel(context.Background())
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var served, slowest atomic.Int64
	var clients sync.WaitGroup
	clients.Add(1)
	go func() {
		defer clients.Done()
		for ctx.Err() == nil {
			began := time.Now()
			if err := honest(client, ports); err != nil {
				t.Errorf("an honest request: %v", err)
				return
			}
			served.Add(1)
			slowest.Store(max(slowest.Load(), time.Since(began).Milliseconds()))
			time.Sleep(honestPause)
		}
	}()
	began := time.Now()
	var crowd sync.WaitGroup
	next := make(chan int)
	for range 200 {
		crowd.Add(1)
		go func() {
			defer crowd.Done()
			for number := range next {
				each := strangers[number%len(strangers)]
				visit(ports[each.port], fmt.Sprintf("127.0.0.%d", 2+number%8), each.says())
			}
		}()
	}
	for number := range many {
		next <- number
	}
	close(next)
	crowd.Wait()
	stop()
	clients.Wait()
	peak := peakMiB(t, program.Process.Pid)
	t.Logf("%d strangers in %.1f s: %d honest requests were answered, the slowest in %d ms; at most %d of %d MiB",
		many, time.Since(began).Seconds(), served.Load(), slowest.Load(), peak, memoryMiB)
	if served.Load() == 0 || peak == 0 || peak >= memoryMiB {
		t.Error("it did not hold")
	}
}

func visit(address, from string, says io.Reader) {
	dialer := net.Dialer{Timeout: 2 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	connection, err := dialer.Dial("tcp", address)
	if err != nil {
		return
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(strangersHold))
	if _, err := io.Copy(connection, says); err == nil {
		_, _ = io.Copy(io.Discard, connection)
	}
}

// peakMiB is the most memory that a process has had, 0 where it is no more.
func peakMiB(t *testing.T, process int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
	if err != nil {
		t.Error(err)
		return 0
	}
	for _, line := range strings.Split(string(status), "\n") {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kibibytes, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kibibytes >> 10
		}
	}
	return 0
}
