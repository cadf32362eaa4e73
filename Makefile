# Everything needs Python 3.11+, make and git; the targets make their own environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROTOS := .venv-protos
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test check protos bench setup lock clean

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  %-10s %s\n", $$1, $$2}'

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(PROTOS)/.ready: tools/protos.lock
	$(PYTHON) -m venv $(PROTOS)
	$(PROTOS)/bin/pip install --quiet --require-hashes --requirement tools/protos.lock
	@touch $@

setup: $(VENV)/.ready $(PROTOS)/.ready  ## Make the environments (.venv, and .venv-protos for the generator).

test: setup  ## Run every test: unit, contract, integration, end to end (about ten minutes on two cores).
	$(BIN)/python -m pytest

check: setup  ## Formatting, lint, types, import direction, contracts, generated code.
	$(BIN)/ruff format --check services tests tools
	$(BIN)/ruff check services tests tools
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/buf breaking --against protos/released.binpb
	$(BIN)/python tools/gen_protos.py --check

demo: $(VENV)/.ready  ## The main job on emulators: images in ./out, then everything is stopped.
	$(BIN)/imagerouter demo --out out

bench: setup  ## Measure overhead and throughput on this machine (docs/performance.md).
	$(BIN)/python -m tests.load.overhead

protos: setup  ## Regenerate services/imagerouter/api from protos/.
	$(BIN)/python tools/gen_protos.py

lock:  ## Resolve requirements.lock anew (needs uv on the PATH).
	uv pip compile pyproject.toml --all-extras --group dev --universal --generate-hashes --no-header \
		--no-emit-index-url --no-annotate --upgrade --output-file requirements.lock
	uv pip compile tools/protos.in --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --no-annotate --upgrade --output-file tools/protos.lock
	$(BIN)/python tools/lock_for.py closures

clean:  ## Remove the environments and everything the targets wrote.
	rm -rf $(VENV) $(PROTOS) out .imagerouter .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
