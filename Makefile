# Needs Python 3.11 or newer and make; everything else goes into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS ?=
FAULT ?=

.DEFAULT_GOAL := help
.PHONY: help run test check format lint layers types migrations faults mutants bench screenshots fmt pins clean

help: ## Show this list
	@echo "make TARGET [ARGS='…']     PYTHON=python3.13 takes another Python (3.11 or newer)"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

run: $(READY) ## Set up .venv and serve, with an embedded PostgreSQL in .flower/ (ARGS: app.py, --port 8001, …)
	@$(BIN)/python -m flower serve $(ARGS)

test: $(READY) ## Run the tests on a real PostgreSQL: embedded, or FLOWER_TEST_DATABASE_URL (ARGS: -k claim, …)
	$(BIN)/python -m pytest $(ARGS)

check: format lint layers types migrations test ## All that must be well before a change is merged: the next five, then the tests

format: $(READY) ## Is the code formatted? (make fmt does it)
	$(BIN)/ruff format --check .

lint: $(READY) ## ruff, all rules
	$(BIN)/ruff check .

layers: $(READY) ## Does anything import upward? (import-linter)
	$(BIN)/lint-imports

types: $(READY) ## mypy strict, and pyright
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python --warnings

migrations: $(READY) ## squawk over sql/migrations
	$(BIN)/squawk sql/migrations/*.sql

faults: $(READY) ## Break things under load, and count what became of every task (FAULT='kill crash', ARGS='--publish'; all: 40 minutes)
	$(BIN)/python -m tests.faults $(ARGS) $(FAULT)

mutants: $(READY) ## Take one guard away at a time, and see that a test misses it (ARGS: claim recount …)
	$(BIN)/python -m tests.mutants $(ARGS)

bench: $(READY) ## Measure, print a table and write JSON to bench/results/ (some minutes)
	$(BIN)/python -m bench $(ARGS)

screenshots: $(READY) ## Make the pictures in docs/images anew, with a Chromium
	$(BIN)/python -m tests.browser.screenshots

fmt: $(READY) ## Format the code, and mend what ruff can mend by itself
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

pins: ## Write constraints.txt anew: the newest versions that pyproject.toml allows, with hashes
	$(PYTHON) -m venv --clear build/pins
	build/pins/bin/pip --disable-pip-version-check --quiet install --upgrade pip pip-tools
	CUSTOM_COMPILE_COMMAND='make pins' build/pins/bin/pip-compile --quiet --no-config --upgrade --all-extras --all-build-deps --generate-hashes \
		--strip-extras --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file constraints.txt pyproject.toml

clean: ## Remove .venv, caches and builds; .flower/, with your data, stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.flower/*' -prune -exec rm -rf {} +

$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Flower needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. Try: make PYTHON=python3.13")'
	@echo "Setting up $(VENV): a minute or two, once."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r constraints.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
