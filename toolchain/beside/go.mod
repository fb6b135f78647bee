module vpai/toolchain/beside

go 1.26.0
