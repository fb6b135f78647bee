package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, got, wanted T) {
	t.Helper()
	if got != wanted {
		t.Errorf("%s: got %v, wanted %v", what, got, wanted)
	}
}

func contains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", what, part, text)
		}
	}
}

func lacks(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("%s must not contain %q:\n%s", what, part, text)
		}
	}
}

func refused(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("it was not refused; wanted an error about %q", parts)
	}
	contains(t, "the error", err.Error(), parts...)
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func await(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for range 500 {
		if happened() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("waited 10 s in vain for %s", what)
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
