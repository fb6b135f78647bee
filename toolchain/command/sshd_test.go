package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// sshServer is a real OpenSSH server on this machine that lets the current user in with one key.
type sshServer struct {
	port    int
	hostKey string
	user    string
	key     sshKey
}

// theServer is shared: no test changes it.
var theServer = sync.OnceValues(startServer)

func server(t *testing.T) *sshServer {
	t.Helper()
	s, err := theServer()
	must(t, err)
	return s
}

func TestMain(m *testing.M) {
	_ = os.Unsetenv("SSH_AUTH_SOCK")
	flag.Parse()
	_ = flag.Set("test.parallel", "16") // the tests wait for sshd and for timeouts, not for the processor
	code := m.Run()
	if stopServer != nil {
		stopServer()
	}
	os.Exit(code)
}

var stopServer func()

func startServer() (*sshServer, error) {
	binary, err := exec.LookPath("sshd")
	if err != nil {
		if binary, err = exec.LookPath("/usr/sbin/sshd"); err != nil {
			return nil, fmt.Errorf("these tests need an OpenSSH server: apt-get install openssh-server")
		}
	}
	directory, err := os.MkdirTemp("", "command-sshd-")
	if err != nil {
		return nil, err
	}
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	if me.Uid == "0" {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd insists on it when it runs as root
			return nil, err
		}
	}
	port, err := reservePort()
	if err != nil {
		return nil, err
	}
	_ = syscall.Close(port.socket)
	s := &sshServer{port: port.number, user: me.Username, key: newKey("")}
	host := newKey("")
	s.hostKey = host.public
	config := fmt.Sprintf(`ListenAddress 127.0.0.1:%d
HostKey %[2]s/host
HostKey %[2]s/host_ecdsa
AuthorizedKeysFile %[2]s/authorized_keys
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp
AcceptEnv ACCEPTED PULUMI_COMMAND_STDOUT
`, s.port, directory)
	for name, content := range map[string]string{"host": host.private, "host_ecdsa": ecdsaKey(), "authorized_keys": s.key.public, "config": config} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	// The shell ends the server when its stdin does: so it goes with the tests even if they panic.
	process := exec.Command("sh", "-c", `"$0" -D -e -f "$1" & cat; kill $!; wait`, binary, filepath.Join(directory, "config"))
	log := &strings.Builder{}
	process.Stderr = log
	life, err := process.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, err
	}
	stopServer = func() {
		_ = life.Close()
		_ = process.Wait()
		_ = os.RemoveAll(directory)
	}
	for range 100 {
		if connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port)); err == nil {
			return s, connection.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, fmt.Errorf("sshd does not listen: %s", log)
}

// connection gives settings that work, with changes; a change to nil removes a setting.
func (s *sshServer) connection(changes values) values {
	settings := values{"host": "127.0.0.1", "port": s.port, "user": s.user, "privateKey": s.key.private, "hostKey": s.hostKey, "dialErrorLimit": 2}
	for name, value := range changes {
		settings[name] = value
		if value == nil {
			delete(settings, name)
		}
	}
	return settings
}

// ecdsaKey is a second host key, of the type that a client prefers: real hosts have several.
func ecdsaKey() string {
	raw, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	block, err := ssh.MarshalPrivateKey(raw, "")
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(block))
}

type sshKey struct {
	private, public string
	raw             ed25519.PrivateKey
}

func newKey(passphrase string) sshKey {
	_, raw, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	block, err := ssh.MarshalPrivateKey(raw, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(raw, "", []byte(passphrase))
	}
	if err != nil {
		panic(err)
	}
	signer, err := ssh.NewSignerFromKey(raw)
	if err != nil {
		panic(err)
	}
	return sshKey{string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(signer.PublicKey())), raw}
}

func (k sshKey) encrypted(passphrase string) string {
	block, err := ssh.MarshalPrivateKeyWithPassphrase(k.raw, "", []byte(passphrase))
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(block))
}

// startAgent serves an agent that holds the key, and gives its socket.
func startAgent(t *testing.T, key sshKey) string {
	t.Helper()
	keyring := agent.NewKeyring()
	must(t, keyring.Add(agent.AddedKey{PrivateKey: key.raw}))
	directory, err := os.MkdirTemp("", "agent-") // t.TempDir is too long for a socket
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	listener, err := net.Listen("unix", filepath.Join(directory, "socket"))
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(keyring, connection) }()
		}
	}()
	return listener.Addr().String()
}

// startPasswordServer is an SSH server that knows one password and answers each command with exit status 0. OpenSSH would ask the machine's accounts.
// It forwards connections, too, so that it can be a proxy.
func startPasswordServer(t *testing.T, password string) int {
	t.Helper()
	config := &ssh.ServerConfig{PasswordCallback: func(_ ssh.ConnMetadata, given []byte) (*ssh.Permissions, error) {
		if string(given) != password {
			return nil, fmt.Errorf("wrong password")
		}
		return nil, nil
	}}
	signer, err := ssh.NewSignerFromKey(newKey("").raw)
	must(t, err)
	config.AddHostKey(signer)
	return listen(t, func(connection net.Conn) {
		_, channels, requests, err := ssh.NewServerConn(connection, config)
		if err != nil {
			return
		}
		go ssh.DiscardRequests(requests)
		for channel := range channels {
			go serveChannel(channel)
		}
	})
}

func serveChannel(request ssh.NewChannel) {
	if request.ChannelType() == "direct-tcpip" {
		var target struct {
			Host       string
			Port       uint32
			Origin     string
			OriginPort uint32
		}
		_ = ssh.Unmarshal(request.ExtraData(), &target)
		onward, err := net.Dial("tcp", net.JoinHostPort(target.Host, strconv.Itoa(int(target.Port))))
		if err != nil {
			_ = request.Reject(ssh.ConnectionFailed, err.Error())
			return
		}
		channel, requests, _ := request.Accept()
		go ssh.DiscardRequests(requests)
		tunnel(channel, onward)
		return
	}
	channel, requests, err := request.Accept()
	if err != nil {
		return
	}
	for request := range requests {
		_ = request.Reply(true, nil)
		switch request.Type {
		case "exec":
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
			_ = channel.Close()
		case "subsystem":
			if sftpServer, err := sftp.NewServer(channel); err == nil {
				_ = sftpServer.Serve()
			}
			_ = channel.Close()
		}
	}
}

// listen serves each connection to a new port.
func listen(t *testing.T, handle func(net.Conn)) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go accept(listener, handle)
	return listener.Addr().(*net.TCPAddr).Port
}

func accept(listener net.Listener, handle func(net.Conn)) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go handle(connection)
	}
}

// closedPort is a port of this machine that refuses connections and that nothing else can take: a socket is bound to it.
type closedPort struct{ socket, number int }

func reservePort() (*closedPort, error) {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, err
	}
	address, err := syscall.Getsockname(socket)
	if err != nil {
		return nil, err
	}
	return &closedPort{socket, address.(*syscall.SockaddrInet4).Port}, nil
}

func startClosed(t *testing.T) *closedPort {
	t.Helper()
	port, err := reservePort()
	must(t, err)
	t.Cleanup(func() { _ = syscall.Close(port.socket) })
	return port
}

// open makes the port take connections from now on.
func (p *closedPort) open() (net.Listener, error) {
	if err := syscall.Listen(p.socket, syscall.SOMAXCONN); err != nil {
		return nil, err
	}
	duplicate, err := syscall.Dup(p.socket)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(duplicate), "listener")
	defer file.Close()
	return net.FileListener(file)
}

// values are inputs as a program writes them.
type values map[string]any

func (v values) properties() property.Map { return valueOf(v).AsMap() }

// with gives a copy with changes.
func (v values) with(changes values) values {
	changed := values{}
	for _, entries := range []values{v, changes} {
		for name, value := range entries {
			changed[name] = value
		}
	}
	return changed
}

func secret(value any) property.Value { return valueOf(value).WithSecret(true) }

func valueOf(value any) property.Value {
	switch value := value.(type) {
	case property.Value:
		return value
	case int:
		return property.New(float64(value))
	case values:
		entries := map[string]property.Value{}
		for name, entry := range value {
			entries[name] = valueOf(entry)
		}
		return property.New(entries)
	case []string:
		items := []property.Value{}
		for _, item := range value {
			items = append(items, property.New(item))
		}
		return property.New(items)
	default:
		converted, err := property.Any(value)
		if err != nil {
			panic(err)
		}
		return converted
	}
}

func tunnel(a, b io.ReadWriteCloser) {
	go func() {
		_, _ = io.Copy(a, b)
		_ = a.Close()
	}()
	_, _ = io.Copy(b, a)
	_ = b.Close()
}
