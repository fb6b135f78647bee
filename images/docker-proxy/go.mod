module vpai.example/docker-proxy

go 1.24
