module vpai.example/auto-fix

go 1.26
