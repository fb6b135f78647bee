module vpai.example/webhook-gate

go 1.24
