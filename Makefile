# Two commands for a newcomer: `make lab` and `make test`. Everything else is convenience over plain pulumi.
SHELL := bash
.DEFAULT_GOAL := help
STACK ?= prod
VENV := .venv/bin
SUDO := $(shell ((UID)) && echo sudo)

# The lab's stack lives on the lab's operator; every other stack is driven from here.
ifeq ($(STACK),lab)
RUN = python3 -m lab exec --
PYTHON = vpai-python
else
RUN = source toolchain/env.sh &&
PYTHON = $(CURDIR)/$(VENV)/python
endif

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab: ## from a fresh clone: raise the lab, deploy, check; prints each step with its time
	@python3 -m lab run

lab-down: ## remove everything that this clone's lab made, nothing else
	@python3 -m lab down

toolchain: ## the engine and its plugins: found, or built from Go modules
	@python3 -m toolchain

.venv/ready: requirements.txt
	@python3 -m venv .venv
	@$(VENV)/pip install --quiet --require-hashes -r requirements.txt
	@touch $@

venv: .venv/ready

packages: # what the checks need from Debian
	@command -v shellcheck >/dev/null && test -x /usr/sbin/sshd || { $(SUDO) apt-get update -qq; $(SUDO) apt-get install -y -qq --no-install-recommends shellcheck openssh-server >/dev/null; }

lint: venv packages ## ruff, mypy --strict, import-linter
	@$(VENV)/ruff check --quiet . && $(VENV)/ruff format --check --quiet .
	@$(VENV)/mypy
	@PYTHONPATH=. $(VENV)/lint-imports --no-logo

test-quick: lint ## unit and graph tests: no Docker, no engine, under a minute
	@$(VENV)/python -m pytest -q tests/unit tests/graph

test: ## from a fresh clone: every layer, lab included; prints minutes per suite
	@bash tests/run.sh

prove: ## the long rehearsals; results are committed
	@bash tests/run.sh prove

bench: ## measures, prints and saves benchmarks/results.json
	@$(VENV)/python -m benchmarks

preview: venv toolchain ## pulumi preview --diff
	@$(RUN) pulumi preview --diff --stack $(STACK)

up: venv toolchain ## pulumi up; seals the recovery kit when there is none yet
	@$(RUN) pulumi up --stack $(STACK)
	@$(RUN) $(PYTHON) -m operations recovery-kit --stack $(STACK) --if-missing --recipient "$(RECIPIENT)"

shell: ## a shell in which `pulumi ... -s STACK` works
	@$(RUN) bash

ssh-config: ## write the ssh_config that a plain refresh or destroy needs in a fresh clone
	@$(RUN) $(PYTHON) -m operations ssh-config --stack $(STACK)

status: ## what runs where, since when, how healthy
	@$(RUN) $(PYTHON) -m operations status --stack $(STACK)

logs: ## a service's last log lines: SERVICE=
	@$(RUN) $(PYTHON) -m operations logs --stack $(STACK) $(SERVICE)

exec: ## a command (or a shell) inside a service: SERVICE= [COMMAND=]
	@$(RUN) $(PYTHON) -m operations exec --stack $(STACK) $(SERVICE) $(COMMAND)

smoke: ## live checks of a deployed stack
	@$(RUN) $(PYTHON) -m operations smoke --stack $(STACK) $(if $(filter lab,$(STACK)),--chat)

recover: ## after a killed run: make state and hosts agree
	@$(RUN) $(PYTHON) -m operations recover --stack $(STACK)

rollback: ## deploy the previous commit again: [COMMIT=]
	@$(RUN) $(PYTHON) -m operations rollback --stack $(STACK) $(COMMIT)

rotate: ## a new value for a generated secret at the next up: SECRET=
	@$(RUN) $(PYTHON) -m operations rotate --stack $(STACK) $(SECRET)

recovery-kit: ## what a restore needs, sealed: RECIPIENT=age1...
	@$(RUN) $(PYTHON) -m operations recovery-kit --stack $(STACK) --recipient "$(RECIPIENT)"

.PHONY: help lab lab-down toolchain venv packages lint test-quick test prove bench preview up shell ssh-config status logs exec smoke recover rollback rotate recovery-kit
