// The docker provider plugin: the Terraform provider behind Pulumi's bridge, under the names of the PyPI package pulumi-docker.
//
// "schema --out DIR" writes the package schema; the plugin then expects schema.json next to its executable.
package main

import (
	"os"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfgen"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/terraform-providers/terraform-provider-docker/internal/provider"
	"vpai/toolchain/beside"
)

const name = "docker"

// version is set at link time to that of the PyPI package.
var version string

func main() {
	if len(os.Args) > 1 && os.Args[1] == "schema" {
		tfgen.Main(name, version, info())
		return
	}
	tfbridge.Main(name, version, info(), beside.Executable("schema.json"))
}

func info() tfbridge.ProviderInfo {
	info := tfbridge.ProviderInfo{
		P:       shimv2.NewProvider(provider.New(version)()),
		Name:    name,
		Version: version,
		Config: map[string]*tfbridge.SchemaInfo{
			"host": {Default: &tfbridge.DefaultInfo{
				EnvVars: []string{"DOCKER_HOST"},
				Value:   "unix:///var/run/docker.sock",
			}},
			"registry_auth": {Name: "registryAuth"},
		},
		Resources: map[string]*tfbridge.ResourceInfo{
			"docker_config": resource("ServiceConfig"),
			"docker_container": {
				Tok:                 tfbridge.MakeResource(name, "index", "Container"),
				DeleteBeforeReplace: true,
				Fields: map[string]*tfbridge.SchemaInfo{
					"command":           {Name: "command"},
					"networks_advanced": {Name: "networksAdvanced"},
				},
			},
			// An image's name says where to pull from: never make one up.
			"docker_image": {
				Tok:    tfbridge.MakeResource(name, "index", "RemoteImage"),
				Fields: map[string]*tfbridge.SchemaInfo{"name": {Name: "name"}},
			},
			"docker_buildx_builder": resource("BuildxBuilder"),
			"docker_network":        resource("Network"),
			"docker_plugin":         resource("Plugin"),
			"docker_registry_image": resource("RegistryImage"),
			"docker_secret":         resource("Secret"),
			"docker_service":        resource("Service"),
			"docker_tag":            resource("Tag"),
			"docker_volume":         resource("Volume"),
		},
		DataSources: map[string]*tfbridge.DataSourceInfo{
			"docker_image":                    {Tok: tfbridge.MakeDataSource(name, "index", "getRemoteImage")},
			"docker_logs":                     {Tok: tfbridge.MakeDataSource(name, "index", "getLogs")},
			"docker_network":                  {Tok: tfbridge.MakeDataSource(name, "index", "getNetwork")},
			"docker_plugin":                   {Tok: tfbridge.MakeDataSource(name, "index", "getPlugin")},
			"docker_registry_image":           {Tok: tfbridge.MakeDataSource(name, "index", "getRegistryImage")},
			"docker_registry_image_manifests": {Tok: tfbridge.MakeDataSource(name, "index", "getRegistryImageManifests")},
		},
		// Newer than the PyPI package.
		IgnoreMappings: []string{"docker_registry_image_tags"},
	}
	info.SetAutonaming(255, "-")
	for token, resource := range info.Resources {
		resource.Fields = named(info.P.ResourcesMap().Get(token).Schema(), resource.Fields)
	}
	return info
}

// named gives every property the name that it has: the bridge, looking for one, would work out those of all others each time,
// in which this plugin spent two fifths of a preview.
func named(schema shim.SchemaMap, fields map[string]*tfbridge.SchemaInfo) map[string]*tfbridge.SchemaInfo {
	all := map[string]*tfbridge.SchemaInfo{}
	schema.Range(func(key string, property shim.Schema) bool {
		field := &tfbridge.SchemaInfo{}
		if given := fields[key]; given != nil {
			*field = *given
		}
		field.Name = tfbridge.TerraformToPulumiNameV2(key, schema, fields)
		if block, ok := property.Elem().(shim.Resource); ok {
			field.Elem = &tfbridge.SchemaInfo{Fields: named(block.Schema(), nil)}
		}
		all[key] = field
		return true
	})
	return all
}

func resource(token string) *tfbridge.ResourceInfo {
	return &tfbridge.ResourceInfo{Tok: tfbridge.MakeResource(name, "index", token)}
}
