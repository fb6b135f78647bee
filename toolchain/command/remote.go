package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"golang.org/x/crypto/ssh"
)

// runRemotely runs a command in an SSH session without a terminal; the login shell of the user interprets it.
func runRemotely(ctx context.Context, line string, inputs property.Map, previous map[string]string, output *output) error {
	client, err := connect(ctx, inputs.Get("connection").AsMap())
	if err != nil {
		return err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return fmt.Errorf("the host takes the login, but opens no session (%w); its sshd_config may forbid commands or allow too few MaxSessions", err)
	}
	defer session.Close()
	for name, value := range stringMapOf(inputs.Get("environment")) {
		if err := session.Setenv(name, value); err != nil {
			return fmt.Errorf("the host refuses the environment variable %s, so the command was not started; "+
				"let its sshd_config accept it, for example: AcceptEnv %[1]s, or pass it by stdin", name)
		}
	}
	for name, value := range previous {
		if err := session.Setenv(name, value); err != nil {
			explainRefused(ctx, name, inputs)
		}
	}
	session.Stdin = strings.NewReader(textOf(inputs.Get("stdin")))
	session.Stdout, session.Stderr = &output.stdout, &output.stderr
	if err := session.Start(line); err != nil {
		return fmt.Errorf("the host did not start it (%w)", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Wait() }()
	select {
	case err := <-ended:
		return remoteFailure(err)
	case <-ctx.Done():
		endSession(client, session, ended)
		return cancelled(ctx)
	}
}

// explainRefused is quiet unless somebody asked for the variables: nearly no host accepts them.
func explainRefused(ctx context.Context, name string, inputs property.Map) {
	message := fmt.Sprintf("the host refuses %s, so the command runs without it; let its sshd_config accept it, "+
		"for example: AcceptEnv PULUMI_COMMAND_*, or set addPreviousOutputInEnv to false", name)
	log := p.GetLogger(context.WithoutCancel(ctx))
	if inputs.Get("addPreviousOutputInEnv").IsBool() {
		log.Warning(message)
	} else {
		log.Debug(message)
	}
}

func remoteFailure(err error) error {
	var exit *ssh.ExitError
	var missing *ssh.ExitMissingError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.Signal() != "":
		return fmt.Errorf("ended by signal %s", exit.Signal())
	case errors.As(err, &exit):
		return fmt.Errorf("exit status %d", exit.ExitStatus())
	case errors.As(err, &missing):
		return errors.New("the connection ended before the command did, so nobody knows how far it came; a command that ends its own " +
			"connection has to do so later, for example: systemd-run --on-active=2 systemctl reboot")
	default:
		return err
	}
}

// endSession ends the command; closing the channel alone would let it run on. OpenSSH passes no signals on to the sessions of root,
// so a second session of the same connection does it: its parent process is that of the command, too.
func endSession(client *client, session *ssh.Session, ended <-chan error) {
	for _, signal := range []ssh.Signal{ssh.SIGTERM, ssh.SIGKILL} {
		_ = session.Signal(signal)
		go func() {
			if second, err := client.NewSession(); err == nil {
				_ = second.Run(fmt.Sprintf("for p in $(ps -o pid= --ppid $PPID); do [ $p = $$ ] || kill -%s -- -$p; done", signal))
			}
		}()
		select {
		case <-ended:
			return
		case <-time.After(cancelGrace):
		}
	}
}
