// The command provider plugin: runs commands on this machine, under the names of the PyPI package pulumi-command. The program
// uses nothing else of it.
//
// It is built on pulumi-go-provider without its `infer` layer: infer hides from a resource which of its inputs are secret, and
// a message that may quote a command has to know. Inputs that are secret never appear in a message.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	p "github.com/pulumi/pulumi-go-provider"
)

// version is set at link time to that of the PyPI package.
var version = "0.0.0-dev"

func main() {
	provider := newProvider()
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Serving ends with the last operation, so an interrupt has to end the operations too.
	context.AfterFunc(interrupted, func() { _ = provider.Cancel(context.Background()) })
	if err := p.RunProvider(interrupted, packageName, version, provider); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
