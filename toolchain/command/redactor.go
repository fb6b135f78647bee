package main

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

const (
	// Values shorter than these are no secrets, and to hide each `yes` or `done` would garble every message.
	shortestValue = 4
	shortestLine  = 8
)

// likeCredential finds what may be a password or a token in a script or a file: long words, and values as in NAME=VALUE or "name": "value".
// So an error that quotes but one word of it is harmless.
var likeCredential = []*regexp.Regexp{
	regexp.MustCompile(`()([A-Za-z0-9+/_-]{16,}|[A-Za-z0-9]{12,})`),
	regexp.MustCompile(`([=:]\s*["']?)([^\s"']{8,})`),
}

// redactor replaces what must not be shown by the name of the input that it came from.
type redactor struct{ replacer *strings.Replacer }

// newRedactor hides stdin, the environment's values, and every input that is marked as secret.
func newRedactor(inputs property.Map) *redactor {
	names := map[string]string{}
	hide := func(name, value string) {
		if len(strings.TrimSpace(value)) >= shortestValue {
			names[value] = name
			names[strings.TrimSpace(value)] = name
		}
		for _, line := range strings.Split(value, "\n") {
			if line = strings.TrimSpace(line); len(line) >= shortestLine {
				names[line] = name
			}
		}
		for _, pattern := range likeCredential {
			for _, found := range pattern.FindAllStringSubmatch(value, -1) {
				if word := found[2]; strings.ContainsAny(word, "0123456789") {
					names[word] = name
				}
			}
		}
	}
	for name, value := range inputs.All {
		switch name {
		case "stdin":
			hideTexts(name, value, true, hide)
		case "environment":
			if value.IsMap() {
				for variable, entry := range value.AsMap().All {
					hideTexts(name+"."+variable, entry, true, hide)
				}
			}
		default:
			hideTexts(name, value, false, hide)
		}
	}
	values := sortedKeys(names)
	slices.SortStableFunc(values, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, value := range values {
		pairs = append(pairs, value, "["+names[value]+"]")
	}
	return &redactor{strings.NewReplacer(pairs...)}
}

func (r *redactor) in(text string) string { return r.replacer.Replace(text) }

func hideTexts(name string, value property.Value, secret bool, hide func(name, value string)) {
	secret = secret || value.Secret()
	switch {
	case value.IsString() && secret:
		hide(name, value.AsString())
	case value.IsArray():
		for _, item := range value.AsArray().All {
			hideTexts(name, item, secret, hide)
		}
	case value.IsMap():
		for _, item := range value.AsMap().All {
			hideTexts(name, item, secret, hide)
		}
	}
}
