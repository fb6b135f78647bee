package main

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

func TestSecretsAreNeverShown(t *testing.T) {
	const (
		stdin       = "plain first line\npassword=hunter2hunter2\n"
		variable    = "environment-value"
		hidden      = "marked as secret"
		credential  = "Zx81Zx81Zx81Zx81Zx81"
		special     = "p4$s,w!rd"
		ofTheScript = "PGPASSWORD=" + credential + " psql\n{\"password\": \"" + special + "\"}\n"
	)
	s := newStack(t, localCommand)
	inputs := values{
		"create":      secret("tee /dev/stderr; env | grep ACCEPTED; echo '" + hidden + "'; echo " + credential + "; echo 'is " + special + "'; exit 7"),
		"stdin":       stdin + ofTheScript,
		"environment": values{"ACCEPTED": variable},
		"triggers":    property.New([]property.Value{secret(hidden)}),
	}
	err := s.apply(inputs.properties())
	refused(t, err, "exit status 7", "the command (which is secret)", "[stdin]", "[environment.ACCEPTED]")
	for name, text := range map[string]string{"the error": err.Error(), "the log": s.logged()} {
		lacks(t, name, text, "hunter2", "plain first line", variable, hidden, credential, special, "tee /dev/stderr")
		contains(t, name, text, "[stdin]")
	}
}

func TestCommandIsShownUnlessItIsSecret(t *testing.T) {
	refused(t, newStack(t, localCommand).apply(values{"create": "ls /no/such/file"}.properties()), "`ls /no/such/file`", "exit status 2")
	err := newStack(t, localCommand).apply(values{"create": "ls /data/" + "quitesecretname", "environment": values{"X": "quitesecretname"}}.properties())
	refused(t, err, "`ls /data/[environment.X]`")
}

func TestOutputOfSecretInputsIsSecret(t *testing.T) {
	for name, inputs := range map[string]values{
		"stdin":       {"create": "cat", "stdin": secret("x")},
		"create":      {"create": secret("echo x")},
		"environment": {"create": "echo $ACCEPTED", "environment": values{"ACCEPTED": secret("x")}},
	} {
		s := newStack(t, localCommand)
		preview, err := s.preview(inputs.properties())
		must(t, err)
		equal(t, "secret in the preview, "+name, preview.Get("stdout").Secret(), true)
		must(t, s.apply(inputs.properties()))
		equal(t, "secret, "+name, s.state.Get("stdout").Secret(), true)
		equal(t, "input stays secret, "+name, s.state.Get(name).HasSecrets(), true)
	}
	s := newStack(t, localCommand)
	must(t, s.apply(values{"create": "echo x"}.properties()))
	equal(t, "secret without secret inputs", s.state.Get("stdout").Secret(), false)
}
