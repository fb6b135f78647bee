package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Attempts to connect follow each other with these pauses: ten attempts give a booting host half a minute.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 5 * time.Second
)

// client is a connection to a host, and to the bastion before it.
type client struct {
	*ssh.Client
	proxy *client
}

func (c *client) Close() error {
	err := c.Client.Close()
	if c.proxy != nil {
		err = errors.Join(err, c.proxy.Close())
	}
	return err
}

// connect logs in to a host, through its proxy if it has one.
func connect(ctx context.Context, connection property.Map) (*client, error) {
	var proxy *client
	if settings := connection.Get("proxy"); settings.IsMap() {
		var err error
		if proxy, err = connect(ctx, settings.AsMap()); err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
	}
	connected, err := dial(ctx, endpointOf(connection), proxy)
	if err != nil && proxy != nil {
		_ = proxy.Close()
	}
	return connected, err
}

// endpoint is a host and how to log in to it.
type endpoint struct {
	address, user                string
	password, key, keyPassphrase string
	agentSocket, hostKey         string
	attempts                     int // 0: any number
	timeout                      time.Duration
}

func endpointOf(connection property.Map) endpoint {
	numberOr := func(name string, fallback float64) float64 {
		if value := connection.Get(name); value.IsNumber() {
			return value.AsNumber()
		}
		return fallback
	}
	e := endpoint{
		address:       net.JoinHostPort(textOf(connection.Get("host")), strconv.Itoa(int(numberOr("port", 22)))),
		user:          textOf(connection.Get("user")),
		password:      textOf(connection.Get("password")),
		key:           textOf(connection.Get("privateKey")),
		keyPassphrase: textOf(connection.Get("privateKeyPassword")),
		agentSocket:   textOf(connection.Get("agentSocketPath")),
		hostKey:       textOf(connection.Get("hostKey")),
		attempts:      max(1, int(numberOr("dialErrorLimit", 10))),
		timeout:       time.Duration(numberOr("perDialTimeout", 15) * float64(time.Second)),
	}
	if e.user == "" {
		e.user = "root"
	}
	if numberOr("dialErrorLimit", 10) < 0 {
		e.attempts = 0
	}
	return e
}

func dial(ctx context.Context, e endpoint, proxy *client) (*client, error) {
	config, release, err := e.config(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	pause := firstPause
	for attempt := 1; ; attempt++ {
		connected, err := dialOnce(ctx, e, config, proxy)
		switch {
		case err == nil:
			return &client{connected, proxy}, nil
		case ctx.Err() != nil:
			return nil, cancelled(ctx)
		case isFinal(err):
			return nil, err
		case attempt == e.attempts:
			return nil, fmt.Errorf("%s cannot be reached: %w (attempts: %d). Check that it is up and that a firewall lets this machine in, "+
				"for example: %s. To wait longer, raise dialErrorLimit", e.address, err, attempt, e.tryByHand())
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, longestPause)
		case <-ctx.Done():
			return nil, cancelled(ctx)
		}
	}
}

func (e endpoint) tryByHand() string {
	host, port, _ := net.SplitHostPort(e.address)
	return fmt.Sprintf("ssh -p %s %s@%s true", port, e.user, host)
}

func dialOnce(ctx context.Context, e endpoint, config *ssh.ClientConfig, proxy *client) (*ssh.Client, error) {
	if e.timeout > 0 {
		limited, stop := context.WithTimeout(ctx, e.timeout)
		defer stop()
		ctx = limited
	}
	dialer := (&net.Dialer{}).DialContext
	if proxy != nil {
		dialer = proxy.DialContext
	}
	connection, err := dialer(ctx, "tcp", e.address)
	if err != nil {
		return nil, err
	}
	// A tunnelled connection knows no deadlines: closing it is what ends a handshake that takes too long.
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	handshake, channels, requests, err := ssh.NewClientConn(connection, e.address, config)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = connection.Close()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("no SSH handshake within %s", e.timeout)
		}
		return nil, e.handshakeFailure(err)
	}
	return ssh.NewClient(handshake, channels, requests), nil
}

// finalError is one that the next attempt would repeat; repeated logins would only make the host ban this machine.
type finalError struct{ error }

func isFinal(err error) bool {
	var final finalError
	return errors.As(err, &final)
}

func (e endpoint) handshakeFailure(err error) error {
	var final finalError
	if errors.As(err, &final) {
		return final
	}
	if strings.Contains(err.Error(), "unable to authenticate") {
		return finalError{fmt.Errorf("%s does not let %s in (%w); give a privateKey whose public half is in the user's authorized_keys, "+
			"a password, or an agentSocketPath", e.address, e.user, err)}
	}
	return err
}

// config gives the client's settings; release closes the connection to the agent.
func (e endpoint) config(ctx context.Context) (config *ssh.ClientConfig, release func(), err error) {
	config = &ssh.ClientConfig{User: e.user}
	if err := e.checkHostKey(ctx, config); err != nil {
		return nil, nil, err
	}
	var signers []ssh.Signer
	if e.key != "" {
		signer, err := parsePrivateKey(e.key, e.keyPassphrase)
		if err != nil {
			return nil, nil, err
		}
		signers = append(signers, signer)
	}
	fromAgent, release, err := e.agentSigners()
	if err != nil {
		return nil, nil, err
	}
	if signers = append(signers, fromAgent...); len(signers) > 0 {
		config.Auth = append(config.Auth, ssh.PublicKeys(signers...))
	}
	if e.password != "" {
		config.Auth = append(config.Auth, ssh.Password(e.password), ssh.KeyboardInteractive(
			func(_, _ string, questions []string, _ []bool) ([]string, error) {
				return slices.Repeat([]string{e.password}, len(questions)), nil
			}))
	}
	return config, release, nil
}

// agentSigners gives the agent's keys. That of $SSH_AUTH_SOCK may be gone, that of agentSocketPath may not.
func (e endpoint) agentSigners() (signers []ssh.Signer, release func(), err error) {
	socket := e.agentSocket
	if socket == "" {
		socket = os.Getenv("SSH_AUTH_SOCK")
	}
	if socket == "" {
		return nil, func() {}, nil
	}
	connection, err := net.Dial("unix", socket)
	if err == nil {
		signers, err = agent.NewClient(connection).Signers()
		release = func() { _ = connection.Close() }
	}
	if err != nil && e.agentSocket == "" {
		return nil, func() {}, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("no SSH agent answers at agentSocketPath %s (%w); start one, for example: ssh-agent -a %[1]s", socket, err)
	}
	return signers, release, nil
}

func (e endpoint) checkHostKey(ctx context.Context, config *ssh.ClientConfig) error {
	if e.hostKey == "" {
		config.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
			warn(ctx, "the host key of %s is not checked, so another machine could take its place. Set hostKey, after comparing it, to: %s",
				e.address, bytes.TrimSpace(ssh.MarshalAuthorizedKey(key)))
			return nil
		}
		return nil
	}
	pinned, err := parseHostKey(e.hostKey)
	if err != nil {
		return err
	}
	config.HostKeyAlgorithms = algorithmsFor(pinned)
	config.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
		if bytes.Equal(key.Marshal(), pinned.Marshal()) {
			return nil
		}
		return finalError{fmt.Errorf("%s shows another host key than the pinned one, so it may be another machine, and nothing was sent to it.\n"+
			"pinned: %s %s\nshown:  %s %s\nIf the host was set up anew, compare the key on its console, "+
			"for example: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub, and change hostKey",
			e.address, pinned.Type(), ssh.FingerprintSHA256(pinned), key.Type(), ssh.FingerprintSHA256(key))}
	}
	return nil
}

// algorithmsFor puts the pinned key's algorithms first: a host with several keys shows that of the first algorithm it knows.
func algorithmsFor(pinned ssh.PublicKey) []string {
	first := []string{pinned.Type()}
	if pinned.Type() == ssh.KeyAlgoRSA {
		first = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	rest := slices.DeleteFunc(ssh.SupportedAlgorithms().HostKeys, func(algorithm string) bool { return slices.Contains(first, algorithm) })
	return append(first, rest...)
}

func parseHostKey(text string) (ssh.PublicKey, error) {
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil || len(options) > 0 {
		return nil, fmt.Errorf("hostKey is no public key, so the host could not be recognized; give type and key as they are " +
			"in /etc/ssh/ssh_host_ed25519_key.pub of the host, without a host name, for example: ssh-ed25519 AAAAC3Nza...")
	}
	return key, nil
}

func parsePrivateKey(text, passphrase string) (ssh.Signer, error) {
	var signer ssh.Signer
	var err error
	if passphrase != "" {
		signer, err = ssh.ParsePrivateKeyWithPassphrase([]byte(text), []byte(passphrase))
	} else {
		signer, err = ssh.ParsePrivateKey([]byte(text))
	}
	var missing *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return signer, nil
	case errors.As(err, &missing):
		return nil, fmt.Errorf("privateKey is encrypted, and there is no privateKeyPassword to open it; set it, or use an agent")
	case passphrase != "":
		return nil, fmt.Errorf("privateKey does not open with privateKeyPassword (%w); leave the password out if the key is not encrypted", err)
	default:
		return nil, fmt.Errorf("privateKey is no SSH private key, so there is nothing to log in with (%w); "+
			"give the whole file, for example: the content of ~/.ssh/id_ed25519, with its last newline", err)
	}
}
