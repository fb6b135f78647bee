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
	failures := checkObject(owner, "", spec, inputs)
	if len(failures) > 0 {
		return failures
	}
	for path, rule := range rules {
		if value, given := lookUp(inputs, path); given && !value.HasComputed() {
			if reason := rule(value, inputs); reason != "" {
				failures = append(failures, p.CheckFailure{Property: path, Reason: reason})
			}
		}
	}
	slices.SortFunc(failures, func(a, b p.CheckFailure) int { return strings.Compare(a.Property, b.Property) })
	return failures
}

func checkObject(owner, path string, spec *schema.ObjectTypeSpec, inputs property.Map) []p.CheckFailure {
	var failures []p.CheckFailure
	for _, name := range spec.Required {
		if inputs.Get(name).IsNull() {
			failures = append(failures, p.CheckFailure{Property: path + name, Reason: fmt.Sprintf("%s needs %s%s: %s", owner, path, name, spec.Properties[name].Description)})
		}
	}
	for name, value := range inputs.AllStable {
		known, ok := spec.Properties[name]
		if !ok {
			failures = append(failures, p.CheckFailure{Property: path + name, Reason: fmt.Sprintf(
				"%s has no input %s%s, and ignoring it might hide a mistake; its inputs are %s", owner, path, name, strings.Join(sortedKeys(spec.Properties), ", "))})
			continue
		}
		failures = append(failures, checkType(owner, path+name, known.TypeSpec, value)...)
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
		complexType := packageSchema.Types[token]
		if len(complexType.Enum) > 0 {
			var values []string
			for _, entry := range complexType.Enum {
				values = append(values, entry.Value.(string))
			}
			if !value.IsString() || !slices.Contains(values, value.AsString()) {
				return wrong("one of " + strings.Join(values, ", "))
			}
			return nil
		}
		if !value.IsMap() {
			return wrong(`a mapping, for example: {"host": "10.0.0.1"}`)
		}
		return checkObject(owner, path+".", &complexType.ObjectTypeSpec, value.AsMap())
	}
	var failures []p.CheckFailure
	switch {
	case spec.Ref == fileType.Ref && !value.IsAsset() && !value.IsArchive():
		return wrong("an asset or an archive, for example: pulumi.FileAsset(\"notes.txt\")")
	case spec.Type == "string" && !value.IsString():
		return wrong("a string")
	case spec.Type == "boolean" && !value.IsBool():
		return wrong("true or false")
	case spec.Type == "number" && !value.IsNumber():
		return wrong("a number")
	case spec.Type == "integer" && (!value.IsNumber() || value.AsNumber() != float64(int(value.AsNumber()))):
		return wrong("a whole number")
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
var rules = map[string]func(value property.Value, inputs property.Map) string{
	"interpreter": func(value property.Value, _ property.Map) string {
		if value.AsArray().Len() == 0 {
			return `interpreter is empty, so nothing could run the command; leave it out, or name a program, for example: ["/bin/bash", "-c"]`
		}
		return ""
	},
	"environment": func(value property.Value, _ property.Map) string {
		for name := range value.AsMap().AllStable {
			if name == "" || strings.ContainsAny(name, "=\x00") {
				return fmt.Sprintf("environment has the name %q, which no process can have; use letters, digits and _, for example: LOG_LEVEL", name)
			}
		}
		return ""
	},
	"assetPaths":                      checkGlobs,
	"archivePaths":                    checkGlobs,
	"source":                          func(value property.Value, _ property.Map) string { return message(checkSource(value)) },
	"connection.port":                 checkPort,
	"connection.hostKey":              checkHostKey,
	"connection.privateKey":           checkPrivateKey,
	"connection.dialErrorLimit":       atLeast("dialErrorLimit", -1, "-1 tries for ever, 10 is the default"),
	"connection.perDialTimeout":       atLeast("perDialTimeout", 0, "0 waits for ever, 15 seconds is the default"),
	"connection.proxy.port":           checkPort,
	"connection.proxy.hostKey":        checkHostKey,
	"connection.proxy.privateKey":     checkProxyPrivateKey,
	"connection.proxy.dialErrorLimit": atLeast("dialErrorLimit", -1, "-1 tries for ever, 10 is the default"),
	"connection.proxy.perDialTimeout": atLeast("perDialTimeout", 0, "0 waits for ever, 15 seconds is the default"),
}

func checkGlobs(value property.Value, _ property.Map) string {
	_, err := compileGlobs(stringsOf(value))
	return message(err)
}

func checkPort(value property.Value, _ property.Map) string {
	if port := value.AsNumber(); port != float64(int(port)) || port < 1 || port > 65535 {
		return fmt.Sprintf("port is %v, and SSH servers listen on 1 to 65535, for example: 22", port)
	}
	return ""
}

func atLeast(name string, least float64, example string) func(property.Value, property.Map) string {
	return func(value property.Value, _ property.Map) string {
		if value.AsNumber() < least {
			return fmt.Sprintf("%s is %v, and has to be %v or more; %s", name, value.AsNumber(), least, example)
		}
		return ""
	}
}

func checkHostKey(value property.Value, _ property.Map) string {
	_, err := parseHostKey(value.AsString())
	return message(err)
}

func checkPrivateKey(value property.Value, inputs property.Map) string {
	return checkKeyOf(value, inputs, "connection.privateKeyPassword")
}

func checkProxyPrivateKey(value property.Value, inputs property.Map) string {
	return checkKeyOf(value, inputs, "connection.proxy.privateKeyPassword")
}

func checkKeyOf(value property.Value, inputs property.Map, passwordPath string) string {
	password, _ := lookUp(inputs, passwordPath)
	if password.IsComputed() {
		return ""
	}
	_, err := parsePrivateKey(value.AsString(), textOf(password))
	return message(err)
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// lookUp finds a value by its dotted path; nothing is found below an unknown.
func lookUp(inputs property.Map, path string) (property.Value, bool) {
	name, rest, nested := strings.Cut(path, ".")
	value, given := inputs.GetOk(name)
	if !given || value.IsNull() || !nested {
		return value, given && !value.IsNull()
	}
	if !value.IsMap() {
		return property.Value{}, false
	}
	return lookUp(value.AsMap(), rest)
}
