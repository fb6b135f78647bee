package main

import (
	"context"
	"encoding/json"
	"maps"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

const (
	packageName = "command"

	localCommand = "command:local:Command"
	localRun     = "command:local:run"
	localLogging = "command:local:Logging"
)

type properties = map[string]schema.PropertySpec

// packageSchema is what Check holds inputs against, too: an input that is not in it is refused.
var packageSchema = schema.PackageSpec{
	Name:        packageName,
	Description: "Runs commands on this machine.",
	Resources: map[string]schema.ResourceSpec{
		localCommand: resourceSpec("A command on this machine.", join(commandInputs, localInputs), join(outputs, fileOutputs)),
	},
	Functions: map[string]schema.FunctionSpec{localRun: runSpec()},
	Types: map[string]schema.ComplexTypeSpec{
		localLogging: loggingEnum,
	},
}

func getSchema(context.Context, p.GetSchemaRequest) (p.GetSchemaResponse, error) {
	spec := packageSchema
	spec.Version = version
	text, err := json.Marshal(spec)
	return p.GetSchemaResponse{Schema: string(text)}, err
}

var (
	stringType  = schema.TypeSpec{Type: "string"}
	booleanType = schema.TypeSpec{Type: "boolean"}
	anyType     = schema.TypeSpec{Ref: "pulumi.json#/Any"}
	fileType    = schema.TypeSpec{Ref: "pulumi.json#/Asset"} // an archive is one, too
	archiveType = schema.TypeSpec{Ref: "pulumi.json#/Archive"}
)

var (
	commandInputs = properties{
		"create":                 described(stringType, "The command to run on creation, and on changes when there is no update."),
		"update":                 described(stringType, "The command to run when an input changed."),
		"delete":                 described(stringType, "The command to run on deletion."),
		"stdin":                  described(stringType, "What the command reads from its standard input."),
		"environment":            described(mapOf(stringType), "Environment variables of the command."),
		"logging":                described(ref(localLogging), "Which output is shown while the command runs, and when it fails. Default: stdout and stderr."),
		"addPreviousOutputInEnv": described(booleanType, "Whether PULUMI_COMMAND_STDOUT and PULUMI_COMMAND_STDERR hold the previous output. Default: true."),
		"triggers":               triggers,
	}
	localInputs = properties{
		"interpreter":  described(arrayOf(stringType), `The program, and its arguments, that gets the command as its last argument. Default: ["/bin/sh", "-c"].`),
		"dir":          described(stringType, "The directory in which to run the command."),
		"assetPaths":   described(arrayOf(stringType), "Globs of the files to return as assets; those that begin with ! exclude."),
		"archivePaths": described(arrayOf(stringType), "Globs of the files to return as an archive; those that begin with ! exclude."),
	}
	outputs = properties{
		"stdout": described(stringType, "The standard output, without its last newline."),
		"stderr": described(stringType, "The standard error, without its last newline."),
	}
	fileOutputs = properties{
		"assets":  described(mapOf(fileType), "The files that assetPaths found, by their paths."),
		"archive": described(archiveType, "The files that archivePaths found."),
	}

	triggers    = schema.PropertySpec{TypeSpec: arrayOf(anyType), Description: "Values whose change replaces the resource.", ReplaceOnChanges: true}
	loggingEnum = schema.ComplexTypeSpec{
		ObjectTypeSpec: schema.ObjectTypeSpec{Type: "string"},
		Enum: []schema.EnumValueSpec{
			{Name: "Stdout", Value: "stdout"}, {Name: "Stderr", Value: "stderr"},
			{Name: "StdoutAndStderr", Value: "stdoutAndStderr"}, {Name: "None", Value: "none"},
		},
	}
)

func runSpec() schema.FunctionSpec {
	inputs := join(commandInputs, localInputs, properties{"command": described(stringType, "The command to run.")})
	for _, lifecycle := range []string{"create", "update", "delete", "triggers"} {
		delete(inputs, lifecycle)
	}
	return schema.FunctionSpec{
		Description: "Runs a command on this machine at every preview and update.",
		Inputs:      &schema.ObjectTypeSpec{Type: "object", Properties: inputs, Required: []string{"command"}},
		ReturnType: &schema.ReturnTypeSpec{ObjectTypeSpec: &schema.ObjectTypeSpec{
			Type: "object", Properties: join(inputs, outputs, fileOutputs), Required: []string{"command", "stdout", "stderr"},
		}},
	}
}

func resourceSpec(description string, inputs, outputs properties) schema.ResourceSpec {
	return schema.ResourceSpec{
		ObjectTypeSpec: schema.ObjectTypeSpec{
			Type:        "object",
			Description: description,
			Properties:  join(inputs, outputs),
			Required:    sortedKeys(outputsAlwaysSet(outputs)),
		},
		InputProperties: inputs,
	}
}

// outputsAlwaysSet leaves out assets and archive, which exist only where they were asked for.
func outputsAlwaysSet(outputs properties) properties {
	always := maps.Clone(outputs)
	for name := range fileOutputs {
		delete(always, name)
	}
	return always
}

func described(spec schema.TypeSpec, description string) schema.PropertySpec {
	return schema.PropertySpec{TypeSpec: spec, Description: description}
}

func ref(token string) schema.TypeSpec { return schema.TypeSpec{Ref: "#/types/" + token} }

func arrayOf(items schema.TypeSpec) schema.TypeSpec {
	return schema.TypeSpec{Type: "array", Items: &items}
}

func mapOf(values schema.TypeSpec) schema.TypeSpec {
	return schema.TypeSpec{Type: "object", AdditionalProperties: &values}
}

func join(all ...properties) properties {
	joined := properties{}
	for _, one := range all {
		maps.Copy(joined, one)
	}
	return joined
}
