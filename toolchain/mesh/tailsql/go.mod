module github.com/tailscale/tailsql

go 1.26.0
