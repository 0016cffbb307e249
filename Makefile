# Two commands matter: `make demo` and `make test`. Both set themselves up with Python 3.11+ and nothing else.

PY := .venv/bin/python
LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url \
	--custom-compile-command "make lock"
COMPILE := $(LOCK) pyproject.toml
ARGS ?=
# Where it is set, each of the hundreds of processes that tests start would compile our code again.
unexport PYTHONDONTWRITEBYTECODE
# Side by side; `make test PARALLEL=` runs one test after the other.
PARALLEL ?= -n auto
# What a broker or a pooler can change; the others start brokers of their own.
ON_EACH_BROKER := $(addprefix tests/acceptance/,test_agents.py test_cancel.py test_dead_letters.py test_documents.py \
	test_in_place.py test_kills.py test_recovery.py)
.DEFAULT_GOAL := help
.PHONY: help demo up reset test chaos load soak compat brokers pooler check lint types fmt docs audit lock local dev

help: ## show this
	@echo "agentapp: AI-agent work as durable background jobs"
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done
	@echo
	@echo "  PORT=8001 make up        another port for the web; 0 takes a free one"
	@echo "  ONCE=1 make demo         approve everything, wait for the mails, exit"
	@echo "  make test ARGS=\"-k lease\"  arguments for pytest"

demo: local ## set up, start everything, ask five questions, show where to approve
	@$(PY) manage.py demo $(ARGS)

up: local ## run the whole stack until Ctrl-C
	@$(PY) manage.py up $(ARGS)

reset: local ## delete the data of the local stack: database, mails, logs, credentials
	@$(PY) manage.py reset

test: dev ## set up and run the tests: minutes, without ARGS but for the thorough ones
	@$(PY) -m pytest $(PARALLEL) $(or $(ARGS),-m "not thorough")

chaos: dev ## the tests of durability in their long form: hundreds of kills, about an hour
	@AGENTAPP_CHAOS=long $(PY) -m pytest -s tests/acceptance/chaos tests/acceptance/test_agents.py tests/lifecycle/test_machine.py \
		tests/lifecycle/test_effect_walks.py tests/lifecycle/test_same_answers.py tests/dispatch/test_barrier.py \
		tests/dispatch/test_gate_barrier.py tests/streams/test_chaos.py tests/acceptance/test_two_releases.py \
		tests/acceptance/test_frozen.py tests/runtime/test_worker_process.py $(ARGS)

load: dev ## the tests of limits, fairness, overload, approvals and pages in their long form, about an hour
	@AGENTAPP_CHAOS=long $(PY) -m pytest -s tests/acceptance/limits tests/admin/test_seeded_pages.py \
		tests/admin/test_seeded_walk.py tests/admin/test_many_by_keyboard.py tests/admin/test_pictures.py \
		tests/admin/test_hostile_texts.py tests/acceptance/test_asking.py tests/dispatch/test_bulk_thousand.py \
		$(ARGS)

soak: dev ## a steady load for 20 minutes, and whether memory, connections or tables grow; ARGS="--minutes 120"
	@$(PY) -m bench.soak --minutes 20 $(ARGS)

compat: dev ## the model client and an agent against servers of others, from an environment of their own
	@sh deploy/requirements/install compat
	@$(PY) -m pytest -s tests/compat $(ARGS)

brokers: dev ## workflows, kills and losses on RabbitMQ, SQS and Postgres as brokers, in their long form
	@sh deploy/requirements/install brokers
	@AGENTAPP_CHAOS=long $(PY) -m pytest -s tests/brokers $(ARGS)
	@for broker in rabbitmq sqs postgres; do \
		AGENTAPP_TEST_BROKER=$$broker $(PY) -m pytest $(PARALLEL) $(ON_EACH_BROKER) $(ARGS) || exit 1; done

pooler: dev ## workflows, kills and losses behind PgBouncer in transaction mode
	@AGENTAPP_TEST_POOLER=pgbouncer $(PY) -m pytest $(PARALLEL) tests/acceptance/test_pooler.py $(ON_EACH_BROKER) $(ARGS)

check: lint types ## everything that must hold before a commit: style, types, migrations, all tests
	@$(PY) -W "ignore:Got an error checking a consistent migration history" manage.py makemigrations --check --dry-run
	@$(PY) -m pytest $(PARALLEL) $(ARGS)

lint: dev ## style only
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: dev ## types only
	@$(PY) -m mypy

fmt: dev ## format the code
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

docs: ## the documentation as a site, in build/site
	@sh deploy/requirements/install release
	@sh deploy/release/mermaid
	@.venv-release/bin/python -m sphinx --quiet --fail-on-warning --keep-going --jobs auto --fresh-env \
		--conf-dir deploy/release/site . build/site
	@.venv-release/bin/python deploy/release/foreign.py build/site
	@echo "The site is in build/site: open build/site/index.html"

audit: dev ## what the packages that are deployed contain: known faults, licences, and an SBOM in build/
	@sh deploy/requirements/install release
	@$(PY) deploy/release/audit.py

lock: ## lock the dependencies of pyproject.toml; needs uv
	@command -v uv > /dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	@$(COMPILE) --output-file deploy/requirements/base.txt
	@$(COMPILE) --extra local --output-file deploy/requirements/local.txt
	@$(COMPILE) --extra s3 --extra otel --extra sqs --extra sqlalchemy --output-file deploy/requirements/extras.txt
	@$(COMPILE) --extra agents --output-file deploy/requirements/agents.txt
	@$(COMPILE) --extra local --extra agents --extra otel --extra dev --output-file deploy/requirements/dev.txt
	@$(LOCK) deploy/requirements/compat.in --output-file deploy/requirements/compat.txt
	@$(LOCK) deploy/requirements/release.in --output-file deploy/requirements/release.txt
	@$(LOCK) deploy/requirements/brokers.in --output-file deploy/requirements/brokers.txt

local:
	@sh deploy/requirements/install local

dev:
	@sh deploy/requirements/install dev
