// The random provider plugin: the Terraform provider behind Pulumi's bridge, under the names of the PyPI package pulumi-random.
//
// "schema --out DIR" writes the package schema; the plugin then expects schema.json and bridge-metadata.json next to its executable.
package main

import (
	"context"
	"os"

	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	pfgen "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfgen"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/terraform-providers/terraform-provider-random/internal/provider"
	"vpai/toolchain/beside"
)

const name = "random"

// version is set at link time to that of the PyPI package.
var version string

func main() {
	if len(os.Args) > 1 && os.Args[1] == "schema" {
		pfgen.Main(name, info(nil))
		return
	}
	pfbridge.Main(context.Background(), name, info(beside.Executable("bridge-metadata.json")),
		pfbridge.ProviderMetadata{PackageSchema: beside.Executable("schema.json")})
}

func info(metadata []byte) tfbridge.ProviderInfo {
	return tfbridge.ProviderInfo{
		P:            pfbridge.ShimProvider(provider.New()),
		Name:         name,
		Version:      version,
		MetadataInfo: tfbridge.NewProviderMetadata(metadata),
		Resources: map[string]*tfbridge.ResourceInfo{
			"random_bytes":    resource("RandomBytes"),
			"random_id":       resource("RandomId"),
			"random_integer":  resource("RandomInteger"),
			"random_password": resource("RandomPassword"),
			"random_pet":      resource("RandomPet"),
			"random_shuffle":  resource("RandomShuffle"),
			"random_string":   resource("RandomString"),
			"random_uuid":     resource("RandomUuid"),
			"random_uuid4":    resource("RandomUuid4"),
			"random_uuid7":    resource("RandomUuid7"),
		},
	}
}

func resource(token string) *tfbridge.ResourceInfo {
	return &tfbridge.ResourceInfo{Tok: tfbridge.MakeResource(name, "index", token)}
}
