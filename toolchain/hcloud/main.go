// The hcloud provider plugin: the Terraform provider behind Pulumi's bridge, under the names of the PyPI package pulumi-hcloud.
//
// "schema --out DIR" writes the package schema; the plugin then expects schema.json and bridge-metadata.json next to its executable.
package main

import (
	"context"
	"os"

	"github.com/hetznercloud/terraform-provider-hcloud/hcloud"
	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	pfgen "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfgen"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"vpai/toolchain/beside"
)

const name = "hcloud"

// version is set at link time to that of the PyPI package.
var version string

func main() {
	ctx := context.Background()
	if len(os.Args) > 1 && os.Args[1] == "schema" {
		pfgen.MainWithMuxer(name, info(ctx, nil))
		return
	}
	pfbridge.MainWithMuxer(ctx, name, info(ctx, beside.Executable("bridge-metadata.json")), beside.Executable("schema.json"))
}

func info(ctx context.Context, metadata []byte) tfbridge.ProviderInfo {
	info := tfbridge.ProviderInfo{
		P:            pfbridge.MuxShimWithPF(ctx, shimv2.NewProvider(hcloud.Provider()), hcloud.NewPluginProvider()),
		Name:         name,
		Version:      version,
		MetadataInfo: tfbridge.NewProviderMetadata(metadata),
		// Hetzner removed datacenters from its API in 2026.
		IgnoreMappings: []string{"hcloud_datacenter", "hcloud_datacenters"},
		Resources:      map[string]*tfbridge.ResourceInfo{},
	}
	// Terraform's numeric ids; Pulumi's are strings.
	for _, resource := range []string{"primary_ip", "storage_box", "storage_box_snapshot", "storage_box_subaccount", "zone"} {
		info.Resources["hcloud_"+resource] = &tfbridge.ResourceInfo{
			Fields: map[string]*tfbridge.SchemaInfo{"id": {Type: "string"}},
		}
	}
	info.MustComputeTokens(tokens.SingleModule("hcloud_", "index", tokens.MakeStandard(name)))
	info.SetAutonaming(255, "-")
	return info
}
