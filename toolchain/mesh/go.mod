module vpai/toolchain/mesh

go 1.26.0

require (
	github.com/juanfont/headscale v0.28.0
	tailscale.com v1.94.1
)

replace github.com/tailscale/tailsql => ./tailsql
