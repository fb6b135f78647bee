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

	localCommand  = "command:local:Command"
	remoteCommand = "command:remote:Command"
	copyToRemote  = "command:remote:CopyToRemote"
	copyFile      = "command:remote:CopyFile"
	localRun      = "command:local:run"

	localLogging    = "command:local:Logging"
	remoteLogging   = "command:remote:Logging"
	connectionType  = "command:remote:Connection"
	proxyConnection = "command:remote:ProxyConnection"
)

type properties = map[string]schema.PropertySpec

// packageSchema is what Check holds inputs against, too: an input that is not in it is refused.
var packageSchema = schema.PackageSpec{
	Name:        packageName,
	Description: "Runs commands on this machine and over SSH, and copies files over SFTP.",
	Resources: map[string]schema.ResourceSpec{
		localCommand:  resourceSpec("A command on this machine.", nil, join(commandInputs(localLogging), localInputs), join(outputs, fileOutputs)),
		remoteCommand: resourceSpec("A command on another host, over SSH.", []string{"connection"}, join(commandInputs(remoteLogging), connectionInput), outputs),
		copyToRemote:  resourceSpec("A file or directory that is copied to another host, over SFTP.", []string{"connection", "remotePath", "source"}, join(copyInputs, connectionInput), nil),
	},
	Functions: map[string]schema.FunctionSpec{localRun: runSpec()},
	Types: map[string]schema.ComplexTypeSpec{
		localLogging:    loggingEnum,
		remoteLogging:   loggingEnum,
		connectionType:  objectSpec(join(connectionInputs, properties{"proxy": described(ref(proxyConnection), "The bastion host through which to connect.")})),
		proxyConnection: objectSpec(connectionInputs),
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
	numberType  = schema.TypeSpec{Type: "number"}
	integerType = schema.TypeSpec{Type: "integer"}
	anyType     = schema.TypeSpec{Ref: "pulumi.json#/Any"}
	fileType    = schema.TypeSpec{Ref: "pulumi.json#/Asset"} // an archive is one, too
	archiveType = schema.TypeSpec{Ref: "pulumi.json#/Archive"}
)

func commandInputs(logging string) properties {
	return properties{
		"create":                 described(stringType, "The command to run on creation, and on changes when there is no update."),
		"update":                 described(stringType, "The command to run when an input changed."),
		"delete":                 described(stringType, "The command to run on deletion."),
		"stdin":                  described(stringType, "What the command reads from its standard input."),
		"environment":            described(mapOf(stringType), "Environment variables of the command. An SSH server has to accept their names (AcceptEnv)."),
		"logging":                described(ref(logging), "Which output is shown while the command runs, and when it fails. Default: stdout and stderr."),
		"addPreviousOutputInEnv": described(booleanType, "Whether PULUMI_COMMAND_STDOUT and PULUMI_COMMAND_STDERR hold the previous output. Default: true."),
		"triggers":               triggers,
	}
}

var (
	localInputs = properties{
		"interpreter":  described(arrayOf(stringType), `The program, and its arguments, that gets the command as its last argument. Default: ["/bin/sh", "-c"].`),
		"dir":          described(stringType, "The directory in which to run the command."),
		"assetPaths":   described(arrayOf(stringType), "Globs of the files to return as assets; those that begin with ! exclude."),
		"archivePaths": described(arrayOf(stringType), "Globs of the files to return as an archive; those that begin with ! exclude."),
	}
	copyInputs = properties{
		"source":     described(fileType, "A FileAsset, a StringAsset, or a FileArchive of a directory or file, which is not unpacked."),
		"remotePath": described(stringType, "Where to copy it. Into it, when it is a directory."),
		"triggers":   triggers,
	}
	connectionInput = properties{"connection": {TypeSpec: ref(connectionType), Description: "How to reach the host.", Secret: true}}

	connectionInputs = properties{
		"host":               described(stringType, "The address of the host."),
		"port":               {TypeSpec: numberType, Description: "The port of its SSH server.", Default: 22},
		"user":               {TypeSpec: stringType, Description: "The user to log in as.", Default: "root"},
		"password":           described(stringType, "The user's password."),
		"privateKey":         described(stringType, "An SSH private key; tried before the password."),
		"privateKeyPassword": described(stringType, "The passphrase of the private key."),
		"agentSocketPath":    described(stringType, "The socket of an SSH agent. Default: $SSH_AUTH_SOCK."),
		"hostKey":            described(stringType, "The host's public key, as `ssh-ed25519 AAAA...`. Without it any key is taken, with a warning."),
		"dialErrorLimit":     {TypeSpec: integerType, Description: "How many attempts to connect may fail; -1: any number.", Default: 10},
		"perDialTimeout":     {TypeSpec: integerType, Description: "Seconds for one attempt to connect; 0: no limit.", Default: 15},
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
	inputs := join(commandInputs(localLogging), localInputs, properties{"command": described(stringType, "The command to run.")})
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

func resourceSpec(description string, required []string, inputs, outputs properties) schema.ResourceSpec {
	return schema.ResourceSpec{
		ObjectTypeSpec: schema.ObjectTypeSpec{
			Type:        "object",
			Description: description,
			Properties:  join(inputs, outputs),
			Required:    append(sortedKeys(outputsAlwaysSet(outputs)), required...),
		},
		InputProperties: inputs,
		RequiredInputs:  required,
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

func objectSpec(properties properties) schema.ComplexTypeSpec {
	return schema.ComplexTypeSpec{ObjectTypeSpec: schema.ObjectTypeSpec{Type: "object", Properties: properties, Required: []string{"host"}}}
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
