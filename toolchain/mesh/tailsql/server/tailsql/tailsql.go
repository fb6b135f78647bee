// Package tailsql stands in for Headscale's SQL console, a debugging aid that is off unless an environment variable asks
// for it: the module is not on the proxy that the toolchain is built from.
package tailsql

import (
	"errors"
	"net/http"
)

// Options has the fields that Headscale sets.
type Options struct {
	Hostname, StateDir string
	Sources            []DBSpec
	LocalClient        any
	ServeHTTPS         bool
}

// DBSpec names a database.
type DBSpec struct {
	Source, Label, Driver, URL string
	Named                      map[string]string
}

// Server is never made.
type Server struct{}

// NewServer refuses: this build has no console.
func NewServer(Options) (*Server, error) {
	return nil, errors.New("this build of Headscale has no SQL console: unset HEADSCALE_DEBUG_TAILSQL_ENABLED")
}

// NewMux is never called.
func (*Server) NewMux() *http.ServeMux { return http.NewServeMux() }
