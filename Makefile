# Everything runs from .venv, which the first target that needs it installs from requirements.lock.

PYTHON ?= python3
PYTEST_ARGS ?=
UV_ARGS ?=
BENCH_ARGS ?=
PEERS ?=

BIN := .venv/bin
STAMP := .venv/.installed
# Only the folders that exist: ruff and mypy refuse a path that does not.
SOURCES := $(wildcard server clients/python tests bench examples)
# Sorted, so that every machine generates the same bytes.
PROTOS := $(sort $(wildcard protos/paceline/v1/*.proto))

# --no-emit-index-url and --no-header keep the machine that made the lock out of it.
UV_COMPILE = build/uv/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
  --no-header --no-emit-index-url --no-config $(UV_ARGS)

# $(call protoc,folder): write the stubs into folder, without those of protos that are gone.
define protoc
mkdir -p $(1)/paceline/v1
rm -f $(1)/paceline/v1/*_pb2*.py $(1)/paceline/v1/*_pb2*.pyi
$(BIN)/python -m grpc_tools.protoc -Iprotos -Ibuild/protos \
  --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
  --python_out=$(1) --grpc_python_out=$(1) --mypy_out=quiet:$(1) --mypy_grpc_out=quiet:$(1) $(PROTOS)
touch $(1)/paceline/v1/__init__.py $(1)/paceline/v1/py.typed
endef

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo serve test soak lint format generate faults bench lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) build/protos ## Install the locked dependencies and the project into .venv

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Paceline needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "This Python has no venv module; install it (python3-venv on Debian and Ubuntu)" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check
	@touch $@

demo: $(STAMP) ## Start a gateway with simulated providers and show what it does
	$(BIN)/python examples/demo.py

serve: $(STAMP) ## Start the gateway; without a configuration its providers are simulated
	$(BIN)/paceline serve

test: $(STAMP) ## Run the tests; more options through PYTEST_ARGS
	$(BIN)/python -m pytest $(PYTEST_ARGS)

soak: $(STAMP) ## Play ten thousand random races of each strategy, and as many cancellations
	PACELINE_SOAK=10000 $(BIN)/python -m pytest -q --timeout=7200 tests/strategies/test_race_schedules.py \
	  tests/strategies/test_race_cancellation.py $(PYTEST_ARGS)

lint: $(STAMP) build/protos ## Check style, types, imports, protos and that generated code is current
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports --no-logo
	$(BIN)/buf lint
	@tag=$$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null); \
	if [ -z "$$tag" ]; then echo "buf breaking: there is no v* tag yet to compare with"; else \
	  echo "buf breaking --against $$tag"; \
	  rm -rf build/released && mkdir -p build/released/build && \
	  git archive "$$tag" buf.yaml protos | tar -x -C build/released && cp -R build/protos build/released/build/ && \
	  $(BIN)/buf breaking --against build/released; fi
	rm -rf build/generated
	$(call protoc,build/generated)
	diff -r -x __pycache__ build/generated generated/python || \
	  { echo "generated/python is not what protos/ generates: run make generate" >&2; exit 1; }

format: $(STAMP) ## Format the code and apply the safe fixes
	$(BIN)/ruff check --fix-only $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

generate: $(STAMP) build/protos ## Regenerate the Python stubs from protos/
	$(call protoc,generated/python)

# The google/rpc protos that ours import, where buf and protoc find them without a network. Beside nothing else of the
# package, so that buf reads no more than this.
build/protos: $(STAMP)
	rm -rf $@
	mkdir -p $@/google/rpc
	cp "$$($(BIN)/python -c 'import google.rpc; print(google.rpc.__path__[0])')"/*.proto $@/google/rpc/
	@touch $@

faults: $(STAMP) ## Play the fault matrix and write docs/faults.md
	PACELINE_WRITE_PAGES=1 $(BIN)/python -m pytest -q tests/faults

bench: $(STAMP) ## Measure Paceline against a bare reference, and races; needs Go; PEERS=litellm,portkey adds those
	$(BIN)/python -m bench $(if $(PEERS),--peers $(PEERS)) $(BENCH_ARGS)

lock: ## Remake the lock files; UV_ARGS=--upgrade takes the newest versions
	$(PYTHON) -m venv build/uv
	build/uv/bin/python -m pip install --disable-pip-version-check --quiet uv
	$(UV_COMPILE) --group dev -o requirements.lock
	$(UV_COMPILE) --constraints requirements.lock -o requirements-runtime.lock
	$(UV_COMPILE) --constraints requirements.lock --extra native -o requirements-native.lock

clean: ## Remove .venv, build and every cache
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov
	find server generated clients tests bench examples -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
