# Two commands for a newcomer: `make lab` and `make test`. Everything else is convenience over plain pulumi.
SHELL := bash
.DEFAULT_GOAL := help
STACK ?= prod
BASE ?= origin/main
REMOTE ?= origin

export STACK BASE REMOTE SNAPSHOT

# What a person or a workflow fills in is never expanded by make: a commit may be named `origin/main^{/$(shell ...)}`, and a command
# has a $HOME of its own. make would expand a variable of its command line even to hand it on. A recipe reads it as the shell does,
# "$$COMMIT" (tests/unit/toolchain/test_makefile.py).
literal = $(eval override $(1) := $$(value $(1)))$(eval export $(1))
$(foreach name,STACK $(.VARIABLES),$(if $(filter STACK,$(name))$(filter command,$(firstword $(origin $(name)))),$(call literal,$(name))))
SNAPSHOT ?= $(wildcard .vpai/snapshot/$(STACK)/snapshot.json)
VENV := .venv/bin
SUDO := $(shell ((UID)) && echo sudo)

# A fresh clone has neither.
READY = { test -x $(PYTHON) || { echo "This clone is not set up yet: make venv engine" >&2; exit 1; }; }

# The lab's stack lives on the lab's operator; every other stack is driven from here.
ifeq ($(STACK),lab)
RUN = python3 -m lab exec --
PYTHON = vpai-python
CHAT = --chat
else
RUN = $(READY) && source toolchain/env.sh &&
PYTHON = $(CURDIR)/$(VENV)/python
endif

# Paths go through make, ssh and URLs, and each would read something else into such a character.
ifneq ($(shell LC_ALL=C.UTF-8; export LC_ALL; grep -q '[^[:alnum:]/._+@,=~-]' <<<"$$PWD" && echo odd),)
$(error This clone lies in "$(CURDIR)". A blank or a special character in its path breaks make, ssh and URLs: move it, or clone it again, to a path of letters, digits and ._-, for example ~/vpai)
endif

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab: ## from a fresh clone: raise the lab, deploy, check; prints each step with its time
	@python3 -m lab run

lab-down: ## remove everything that this clone's lab made, nothing else
	@python3 -m lab down

toolchain: ## the engine, its plugins and what the lab runs: installed, out of releases, or built from Go modules
	@python3 -m toolchain

engine: # what of it deploys
	@python3 -m toolchain --part deploy

.venv/ready: requirements.txt toolchain/uv.txt toolchain/venv.sh
	@bash toolchain/venv.sh
	@touch $@

venv: .venv/ready

requirements: venv ## uv.lock and requirements.txt from pyproject.toml; a version moves when its line there asks for it
	@bash toolchain/requirements.sh

packages: # what the checks need from Debian
	@command -v shellcheck >/dev/null && command -v systemd-analyze >/dev/null && test -x /usr/sbin/sshd || { $(SUDO) apt-get update -qq; $(SUDO) apt-get install -y -qq --no-install-recommends shellcheck openssh-server systemd >/dev/null; }

chromium: # in which the rehearsals open pages
	@command -v chromium >/dev/null || { $(SUDO) apt-get update -qq; $(SUDO) apt-get install -y -qq --no-install-recommends chromium >/dev/null; }

# The one that builds the toolchain; whether it is on the PATH or not.
FIND_GO := python3 -c 'from toolchain.golang import find_go; from toolchain.provision import cache_directory; print(find_go(cache_directory()))'

# Only its module is published.
$(VENV)/actionlint: tests/actionlint/go.sum .venv/ready
	@go=$$($(FIND_GO)) && \
	env -C tests/actionlint GOWORK=off GOFLAGS=-mod=readonly GOTOOLCHAIN=local CGO_ENABLED=0 $$go build -trimpath -o $(CURDIR)/$@ github.com/rhysd/actionlint/cmd/actionlint
	@touch $@

# Runs the workflows for `make prove`.
$(VENV)/act: tests/act/go.sum .venv/ready
	@go=$$($(FIND_GO)) && \
	env -C tests/act GOWORK=off GOFLAGS=-mod=readonly GOTOOLCHAIN=local CGO_ENABLED=0 $$go build -trimpath -o $(CURDIR)/$@ github.com/nektos/act
	@touch $@

# Out of Debian's package, which installed would run as a service.
$(VENV)/promtool: .venv/ready
	@cd $$(mktemp -d) && { apt-get download -qq prometheus 2>/dev/null || { $(SUDO) apt-get update -qq && apt-get download -qq prometheus; }; } && \
	dpkg-deb -x prometheus_*.deb unpacked && install -t $(CURDIR)/$(VENV) unpacked/usr/bin/promtool

lint: venv packages $(VENV)/actionlint ## ruff, mypy --strict, import-linter; actionlint and zizmor for the workflows
	@$(VENV)/ruff check --quiet . && $(VENV)/ruff format --check --quiet .
	@$(VENV)/mypy
	@PYTHONPATH=. $(VENV)/lint-imports --no-logo
	@$(VENV)/python -m tests.support.workflows

test-quick: lint $(VENV)/promtool $(VENV)/mkdocs ## unit, graph and policy tests: no Docker, no engine
	@$(VENV)/python -m pytest -q -n 2 tests/unit tests/graph tests/policy

test: ## from a fresh clone: every layer, lab included; prints minutes per suite
	@bash tests/run.sh

test-lab: ## the tests of the lab itself, which `make test` runs when their content is new
	@bash tests/run.sh lab

prove: ## the long rehearsals; results are committed
	@bash tests/run.sh prove

propose-proofs: # what `make prove` wrote, as a pull request, by gh: [REMOTE=origin]
	@bash tests/prove/propose.sh "$$REMOTE"

planted: venv ## faults planted one at a time in a copy: does the named test turn red; docs/proofs/planted.md
	@GO=$$($(FIND_GO)) $(VENV)/python -m tests.planted

.venv/mutmut: tests/mutants/requirements.txt .venv/ready
	@$(VENV)/pip install --quiet --require-hashes -r tests/mutants/requirements.txt
	@touch $@

mutants: .venv/mutmut ## functions changed in one place at a time: does a test see it; docs/proofs/mutants.md: [ROOM=model]
	@$(VENV)/python -m tests.mutants "$$ROOM"

bench: venv toolchain ## measures, prints and saves benchmarks/results.json: [ONLY=program,growth]
	@source toolchain/env.sh && $(VENV)/python -m benchmarks

may-answer:
	@python3 -m operations.deploy.terminal --stack "$$STACK" --questions

init: may-answer venv engine ## a first configuration by questions, each answer checked and kept; a second start goes on where the first was
	@$(RUN) $(PYTHON) -m operations init --stack "$$STACK"

preview: standing venv engine ## pulumi preview --diff, with the policy pack's verdict
	@$(RUN) pulumi preview --diff --stack "$$STACK" --policy-pack policy

preview-pull-request: venv engine ## what this checkout would change, no secrets, no hosts: [BASE=origin/main] [SNAPSHOT=file]
	@source toolchain/env.sh && $(VENV)/python -m operations preview-pull-request --stack "$$STACK" --base "$$BASE" --snapshot "$$SNAPSHOT"

snapshot: standing venv engine ## what is deployed, no secret left in it: .vpai/snapshot/
	@$(RUN) $(PYTHON) -m operations snapshot --stack "$$STACK"

publish-snapshot: venv ## push it to refs/snapshots/: [REMOTE=origin]
	@$(VENV)/python -m operations publish-snapshot --stack "$$STACK" --remote "$$REMOTE"

fetch-snapshot: venv ## the published one: [REMOTE=origin]
	@$(VENV)/python -m operations fetch-snapshot --stack "$$STACK" --remote "$$REMOTE"

# Before anything is set up for a stack that is not there, or whose state nothing may be run on.
standing:
	@python3 -m stacks.standing --stack "$$STACK"

may-ask:
	@python3 -m operations.deploy.terminal --stack "$$STACK" $${YES:+--yes}

up: may-ask standing venv engine ## pulumi up under the policy pack, for prod with its guards, for a copy with its checks: [YES=1]; seals the recovery kit when there is none, or it is stale
	@$(RUN) $(PYTHON) -m operations up --stack "$$STACK" --may-lose "$$MAY_LOSE" $${YES:+--yes}
	@$(RUN) $(PYTHON) -m operations recovery-kit --stack "$$STACK" --if-stale --recipient "$$RECIPIENT"

plan: standing venv engine ## what an up would do, shown and kept in .vpai/plan/
	@$(RUN) $(PYTHON) -m operations plan --stack "$$STACK"

apply-plan: standing venv engine ## exactly the plan of `make plan`, unless a guard refuses: [MAY_LOSE=resource,...]
	@$(RUN) $(PYTHON) -m operations apply-plan --stack "$$STACK" --may-lose "$$MAY_LOSE"

publish-plan: venv # for another machine to apply: [REMOTE=origin]
	@$(RUN) $(PYTHON) -m operations publish-plan --stack "$$STACK" --remote "$$REMOTE"

plan-digest: venv # by which the plan is approved
	@$(RUN) $(PYTHON) -m operations plan-digest --stack "$$STACK"

take-plan: venv # the published one, once, if it is the approved one: COMMIT= DIGEST= [REMOTE=origin]
	@$(RUN) $(PYTHON) -m operations take-plan --stack "$$STACK" --commit "$$COMMIT" --digest "$$DIGEST" --remote "$$REMOTE"

runner: venv engine # SSH and the mesh for a machine of a CI system: DEPLOY_KEY= MESH_KEY=
	@$(RUN) $(PYTHON) -m operations runner --stack "$$STACK"

notify: venv engine ## a line to the operators' chat on Telegram: MESSAGE=
	@$(RUN) $(PYTHON) -m operations notify --stack "$$STACK" "$$MESSAGE"

comment: venv # a preview's text at its pull request, from stdin, by gh: NUMBER=
	@$(VENV)/python -m operations comment "$$NUMBER"

policy: standing venv engine ## the policy pack's verdict on what stands
	@$(RUN) pulumi policy analyze --stack "$$STACK" --policy-pack policy

images: venv ## ask the registries for the digest of each image of the lock: [WRITE=1]
	@$(VENV)/python -m operations.checks.images $${WRITE:+--write}

verify-images: venv ## pull each image of the lock, compare it with its service, start it alone: STACK= [SERVICE=]
	@$(VENV)/python -m operations.checks.verify_images --stack "$$STACK" "$$SERVICE"

service: venv ## a module for a new service, with what has to be decided left open: NAME=
	@$(VENV)/python -m operations.new_service "$$NAME"

docs: venv ## write docs/reference/ and what Pulumi.yaml declares, from catalogue and settings
	@$(VENV)/python -m operations.reference.catalogue
	@$(VENV)/python -m operations.reference.configuration
	@$(VENV)/python -m operations.reference.reachability
	@$(VENV)/python -m operations.reference.security
	@$(VENV)/python -m lab.reference
	@$(VENV)/python -m operations.reference.policy
	@$(VENV)/python -m tests.policy.compose_lint
	@$(VENV)/python -m operations.pages.architecture
	@$(VENV)/python -m operations.pages.decisions

$(VENV)/mkdocs: uv.lock toolchain/venv.sh .venv/ready
	@bash toolchain/venv.sh docs
	@touch $@

$(VENV)/pre-commit: uv.lock toolchain/venv.sh .venv/ready
	@bash toolchain/venv.sh hooks
	@touch $@

hooks: $(VENV)/pre-commit $(VENV)/actionlint ## the checks of `make lint` that a commit concerns, before each commit (.pre-commit-config.yaml)
	@$(VENV)/pre-commit install

site: $(VENV)/mkdocs ## the documentation as a site, links checked, nothing in it of another place: .site/html/index.html
	@$(VENV)/python -m operations.pages.site
	@NO_MKDOCS_2_WARNING=1 $(VENV)/mkdocs build --strict --clean --config-file .site/mkdocs.yml
	@echo "$(CURDIR)/.site/html/index.html"

lab-picture: venv ## README's terminal, out of what a run wrote (make lab 2>&1 | tee lab.log): LOG=lab.log
	@$(VENV)/python -m operations.pages.terminal "$$LOG"

shell: ## a shell in which `pulumi ... -s STACK` works
	@$(RUN) bash

ssh-config: ## write the ssh_config that a plain refresh or destroy needs in a fresh clone
	@$(RUN) $(PYTHON) -m operations ssh-config --stack "$$STACK"

status: ## every service on one screen: health, memory, what differs from the state; exit code 1 when one is not well: [JSON=1]
	@$(RUN) $(PYTHON) -m operations status --stack "$$STACK" $${JSON:+--json}

logs: ## a service's last log lines: SERVICE=
	@$(RUN) $(PYTHON) -m operations logs --stack "$$STACK" "$$SERVICE"

exec: ## a command of its shell (or the shell) inside a service, with all of its environment: SERVICE= [COMMAND=]
	@$(RUN) $(PYTHON) -m operations exec --stack "$$STACK" --shell="$$COMMAND" "$$SERVICE"

smoke: ## live checks of a deployed stack, inside and outside of the mesh: [JUNIT=] writes JUnit XML
	@$(RUN) $(PYTHON) -m operations smoke --stack "$$STACK" $(CHAT) --junit "$$JUNIT" $${JSON:+--json}

authentication: ## every credential against the running stack: the right one is let in, a wrong one and none are not
	@$(RUN) $(PYTHON) -m operations authentication --stack "$$STACK" $${JSON:+--json}

drift: ## what differs on the hosts from what `up` makes of them; exit code 1 when anything does
	@$(RUN) $(PYTHON) -m operations drift --stack "$$STACK" $${JSON:+--json}

dns: ## the records that the zone needs, and what of them is published; exit code 1 when anything differs
	@$(RUN) $(PYTHON) -m operations dns --stack "$$STACK" $${JSON:+--json}

cost: ## EUR a month and an hour, now and after an up: [LIMIT=] [HCLOUD_TOKEN=]
	@$(RUN) $(PYTHON) -m operations cost --stack "$$STACK" --limit "$$LIMIT" $${JSON:+--json}

state-backend: ## move the stack's state into a versioned bucket: BUCKET= (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)
	@$(RUN) $(PYTHON) -m operations state-backend --stack "$$STACK" "$$BUCKET"

renew: ## let members of the mesh back in whose key has expired
	@$(RUN) $(PYTHON) -m operations renew --stack "$$STACK"

state: venv engine ## where the state lies, who has locked it, what is wrong with it; exit code 1 when anything is
	@$(RUN) $(PYTHON) -m operations state --stack "$$STACK"

recover: ## after a killed run: make state and hosts agree: [LOCK=]
	@$(RUN) $(PYTHON) -m operations recover --stack "$$STACK" --lock "$$LOCK"

rollback: standing venv engine ## the code of the previous commit with the present configuration, as `make up` deploys: [COMMIT=] [MAY_LOSE=] [YES=1]
	@$(RUN) $(PYTHON) -m operations rollback --stack "$$STACK" --may-lose "$$MAY_LOSE" $${YES:+--yes} "$$COMMIT"

rotate: ## a new value for a generated secret at the next up: SECRET=
	@$(RUN) $(PYTHON) -m operations rotate --stack "$$STACK" "$$SECRET"

backup: ## a backup now, followed line by line: [HOST=]
	@$(RUN) $(PYTHON) -m operations backup --stack "$$STACK" --host "$$HOST"

backups: ## the runs of each host: age, items, size; exit code 1 when one is late: [HOST=]
	@$(RUN) $(PYTHON) -m operations backups --stack "$$STACK" --host "$$HOST" $${JSON:+--json}

prune: ## give old runs up and check the repositories, with the admin key: [HOST=]
	@$(RUN) $(PYTHON) -m operations prune --stack "$$STACK" --host "$$HOST" $${JSON:+--json}

rescue: ## undo an overwriting of a host's backups from the former versions, with the admin key: HOST= TO=directory | IN_PLACE=yes
	@$(RUN) $(PYTHON) -m operations rescue --stack "$$STACK" --host "$$HOST" --to "$$TO" --in-place "$$IN_PLACE"

drill: venv engine ## the latest backup into a copy that is thrown away, from the recovery kit alone: [KIT=recovery-kit-prod.age] [KEY=recovery.key] [HOST=]
	@source toolchain/env.sh && $(VENV)/python -m operations.checks.drill --stack "$$STACK" --kit "$$KIT" --key "$$KEY" --host "$$HOST"

copy-attachments: ## attachments into a bucket of another account (vpai:attachmentsCopy)
	@$(RUN) $(PYTHON) -m operations copy-attachments --stack "$$STACK"

restore: ## bring a run back, shown first, done with REPLACE=yes: HOST= [SERVICE=] [DATABASE=] [AT=] [FROM=staging|bucket|DIR] [UNDO=yes]
	@$(RUN) $(PYTHON) -m operations restore --stack "$$STACK" --host "$$HOST" --service "$$SERVICE" --database "$$DATABASE" \
	--at "$$AT" --from "$$FROM" --replace "$$REPLACE" --undo "$$UNDO"

restore-files: ## files of a run into a directory of the host: HOST= SERVICE= [AT=] [FROM=] [TO=]
	@$(RUN) $(PYTHON) -m operations restore-files --stack "$$STACK" --host "$$HOST" --service "$$SERVICE" --at "$$AT" --from "$$FROM" --to "$$TO"

replace-host: ## a fresh machine takes the place of a host that is gone: the state forgets what stood there: HOST=
	@$(RUN) $(PYTHON) -m operations replace-host --stack "$$STACK" --host "$$HOST"

move-host: ## a host's data goes to another machine, which takes its place; shown first, done with REPLACE=yes: HOST= TO=address KEY='ssh-ed25519 ...' [UNDO=yes]
	@$(RUN) $(PYTHON) -m operations move-host --stack "$$STACK" --host "$$HOST" --to "$$TO" --key "$$KEY" --replace "$$REPLACE" --undo "$$UNDO"

fake-secrets: ## for a copy: values that open nothing, for each secret that it needs and has not
	@$(RUN) $(PYTHON) -m operations fake-secrets --stack "$$STACK"

recovery-kit: ## what a restore needs, sealed: RECIPIENT=age1...; does one open the state and every repository: CHECK=FILE KEY=recovery.key
	@$(RUN) $(PYTHON) -m operations recovery-kit --stack "$$STACK" --recipient "$$RECIPIENT" --check "$$CHECK" --key "$$KEY"

reap: venv engine ## destroy pull requests' stacks that have expired, tell what belongs to none: HCLOUD_TOKEN= [DRY_RUN=1]
	@$(RUN) $(PYTHON) -m operations reap $${DRY_RUN:+--dry-run}

.PHONY: help requirements hooks site lab-picture chromium drill backup backups prune rescue copy-attachments restore restore-files replace-host move-host engine init may-answer may-ask standing state dns cost publish-plan plan-digest take-plan runner notify comment preview-pull-request snapshot publish-snapshot fetch-snapshot lab lab-down toolchain venv packages lint test-quick test test-lab prove propose-proofs planted mutants bench preview up plan apply-plan policy images verify-images docs shell ssh-config status logs exec smoke authentication drift state-backend renew recover rollback rotate fake-secrets recovery-kit reap
