package main

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/libdns/ovh"
)

func init() {
	caddy.RegisterModule(ovhProvider{})
}

// ovhProvider is the module dns.providers.ovh, with the Caddyfile syntax of caddy-dns/ovh, whose module fails the checksum database.
type ovhProvider struct{ *ovh.Provider }

func (ovhProvider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "dns.providers.ovh",
		New: func() caddy.Module { return ovhProvider{new(ovh.Provider)} },
	}
}

// Provision resolves placeholders, so that credentials can come from the environment or from files.
func (p ovhProvider) Provision(caddy.Context) error {
	replacer := caddy.NewReplacer()
	for _, field := range p.fields() {
		*field = replacer.ReplaceAll(*field, "")
	}
	return nil
}

func (p ovhProvider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	fields := p.fields()
	d.Next() // the provider's name
	if d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(0) {
		field, known := fields[d.Val()]
		if !known {
			return d.Errf("unknown option %q: ovh takes endpoint, application_key, application_secret and consumer_key", d.Val())
		}
		if !d.AllArgs(field) {
			return d.ArgErr()
		}
	}
	for name, field := range fields {
		if *field == "" {
			return d.Errf("ovh needs %s, for example: %s {env.OVH_%s}", name, name, strings.ToUpper(name))
		}
	}
	return nil
}

func (p ovhProvider) fields() map[string]*string {
	return map[string]*string{
		"endpoint":           &p.Endpoint,
		"application_key":    &p.ApplicationKey,
		"application_secret": &p.ApplicationSecret,
		"consumer_key":       &p.ConsumerKey,
	}
}

var (
	_ caddyfile.Unmarshaler = ovhProvider{}
	_ caddy.Provisioner     = ovhProvider{}
)
