package main

import (
	"fmt"
	"slices"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// checkInputs gives everything that is wrong with the inputs of a resource. Values that are not known yet pass.
func checkInputs(token string, inputs property.Map) []p.CheckFailure {
	resource := packageSchema.Resources[token]
	name := strings.ReplaceAll(strings.TrimPrefix(token, "command:"), ":", ".")
	return checkProperties(name, &schema.ObjectTypeSpec{Properties: resource.InputProperties, Required: resource.RequiredInputs}, inputs)
}

func checkProperties(owner string, spec *schema.ObjectTypeSpec, inputs property.Map) []p.CheckFailure {
	failures := checkObject(owner, spec, inputs)
	if len(failures) > 0 {
		return failures
	}
	for name, rule := range rules {
		if value := inputs.Get(name); !value.IsNull() && !value.HasComputed() {
			if reason := rule(value); reason != "" {
				failures = append(failures, p.CheckFailure{Property: name, Reason: reason})
			}
		}
	}
	slices.SortFunc(failures, func(a, b p.CheckFailure) int { return strings.Compare(a.Property, b.Property) })
	return failures
}

func checkObject(owner string, spec *schema.ObjectTypeSpec, inputs property.Map) []p.CheckFailure {
	var failures []p.CheckFailure
	for _, name := range spec.Required {
		if inputs.Get(name).IsNull() {
			failures = append(failures, p.CheckFailure{Property: name, Reason: fmt.Sprintf("%s needs %s: %s", owner, name, spec.Properties[name].Description)})
		}
	}
	for name, value := range inputs.AllStable {
		known, ok := spec.Properties[name]
		if !ok {
			failures = append(failures, p.CheckFailure{Property: name, Reason: fmt.Sprintf(
				"%s has no input %s, and ignoring it might hide a mistake; its inputs are %s", owner, name, strings.Join(sortedKeys(spec.Properties), ", "))})
			continue
		}
		failures = append(failures, checkType(owner, name, known.TypeSpec, value)...)
	}
	return failures
}

func checkType(owner, path string, spec schema.TypeSpec, value property.Value) []p.CheckFailure {
	if value.IsNull() || value.IsComputed() {
		return nil
	}
	wrong := func(wanted string) []p.CheckFailure {
		return []p.CheckFailure{{Property: path, Reason: fmt.Sprintf("%s of %s has to be %s", path, owner, wanted)}}
	}
	if token, ok := strings.CutPrefix(spec.Ref, "#/types/"); ok {
		var values []string
		for _, entry := range packageSchema.Types[token].Enum {
			values = append(values, entry.Value.(string))
		}
		if !value.IsString() || !slices.Contains(values, value.AsString()) {
			return wrong("one of " + strings.Join(values, ", "))
		}
		return nil
	}
	var failures []p.CheckFailure
	switch {
	case spec.Type == "string" && !value.IsString():
		return wrong("a string")
	case spec.Type == "boolean" && !value.IsBool():
		return wrong("true or false")
	case spec.Type == "array" && !value.IsArray():
		return wrong("a list")
	case spec.Type == "object" && !value.IsMap():
		return wrong("a mapping")
	case spec.Type == "array":
		for i, item := range value.AsArray().All {
			failures = append(failures, checkType(owner, fmt.Sprintf("%s[%d]", path, i), *spec.Items, item)...)
		}
	case spec.Type == "object":
		for key, item := range value.AsMap().AllStable {
			failures = append(failures, checkType(owner, path+"."+key, *spec.AdditionalProperties, item)...)
		}
	}
	return failures
}

// rules say what is wrong with a value of the right type, or nothing.
var rules = map[string]func(value property.Value) string{
	"interpreter": func(value property.Value) string {
		if value.AsArray().Len() == 0 {
			return `interpreter is empty, so nothing could run the command; leave it out, or name a program, for example: ["/bin/bash", "-c"]`
		}
		return ""
	},
	"environment": func(value property.Value) string {
		for name := range value.AsMap().AllStable {
			if name == "" || strings.ContainsAny(name, "=\x00") {
				return fmt.Sprintf("environment has the name %q, which no process can have; use letters, digits and _, for example: LOG_LEVEL", name)
			}
		}
		return ""
	},
	"assetPaths":   checkGlobs,
	"archivePaths": checkGlobs,
}

func checkGlobs(value property.Value) string {
	_, err := compileGlobs(stringsOf(value))
	return message(err)
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
