package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A pipedPack is a policy pack that reads the engine's calls from a pipe and answers on another (policy/pipe.py): gRPC is spoken
// here, because in Python each of a preview's five hundred calls would cost half a millisecond of it (docs/adr/0014).
type pipedPack struct {
	listener net.Listener
	pack     *child
	theirs   []*os.File // the pack's ends
	mutex    sync.Mutex // of a call and its answer
	requests *os.File
	answers  *os.File
}

// pipe has the pack's process, not yet started, find its ends as descriptors 3 and 4.
func pipe(process *exec.Cmd) (*pipedPack, error) {
	theirRequests, requests, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	answers, theirAnswers, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	process.ExtraFiles = []*os.File{theirRequests, theirAnswers}
	process.Env = append(process.Environ(), "PULUMI_POLICY_PIPE=3,4")
	pack := &pipedPack{listener: listener, theirs: process.ExtraFiles, requests: requests, answers: answers}
	server := grpc.NewServer(
		grpc.ForceServerCodec(asItIs{}),
		grpc.UnknownServiceHandler(pack.pass),
		grpc.MaxRecvMsgSize(largestMessage),
	)
	go func() { _ = server.Serve(listener) }()
	return pack, nil
}

const largestMessage = 400 << 20 // the engine's own

func (p *pipedPack) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// started leaves the pack's ends to the pack alone: when it ends, a call does.
func (p *pipedPack) started(pack *child) {
	p.pack = pack
	for _, end := range p.theirs {
		_ = end.Close()
	}
}

// close is for a pack that has ended; whoever calls is still told so.
func (p *pipedPack) close() {
	_ = p.requests.Close()
	_ = p.answers.Close()
}

// pass gives one call, whatever it is, to the pack.
func (p *pipedPack) pass(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	var message []byte
	if err := stream.RecvMsg(&message); err != nil {
		return err
	}
	if path.Base(method) == "Remediate" { // before each Analyze, with the same resource; such a pack fixes nothing
		return stream.SendMsg(&[]byte{})
	}
	code, answer, err := p.ask(path.Base(method), message)
	if err != nil {
		err = p.pack.reason(fmt.Errorf("the policy pack has ended: %w", err))
		return status.Error(codes.Internal, err.Error()) // Unavailable would be asked again
	}
	if code != codes.OK {
		return status.Error(code, string(answer))
	}
	return stream.SendMsg(&answer)
}

// ask writes the lengths of both, the method and the message; reads a code, the length and the answer.
func (p *pipedPack) ask(method string, message []byte) (codes.Code, []byte, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	call := binary.BigEndian.AppendUint32(nil, uint32(len(method)))  //nolint:gosec // a name
	call = binary.BigEndian.AppendUint32(call, uint32(len(message))) //nolint:gosec // below largestMessage
	if _, err := p.requests.Write(append(append(call, method...), message...)); err != nil {
		return 0, nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(p.answers, head[:]); err != nil {
		return 0, nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint32(head[4:]))
	_, err := io.ReadFull(p.answers, answer)
	return codes.Code(binary.BigEndian.Uint32(head[:4])), answer, err
}

// asItIs leaves messages encoded.
type asItIs struct{}

func (asItIs) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }

func (asItIs) Unmarshal(data []byte, message any) error {
	into, ok := message.(*[]byte)
	if !ok {
		return fmt.Errorf("a %T is no encoded message", message)
	}
	*into = append([]byte(nil), data...)
	return nil
}

func (asItIs) Name() string { return "proto" }
