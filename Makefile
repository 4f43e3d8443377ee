# The few commands there are. `make demo` and `make test` work on a fresh machine; the rest is for those who change Nines.
#
#   make demo     a replicated cluster, broken eight times, measured and held against a prediction (about 75 s)
#   make test     all tests but those that need Docker          make check   what to run before each commit (about a minute)
#   make test-docker   those that do, on the engine that answers, else on a private one that ends with them
#   make test-engines  engines elsewhere and of other kinds, each started by its tests (root; minutes)
#   make test-current  the Docker suite on the current engine, which is built from Go modules first (root, go; half an hour, once)
#   make test-kubernetes  on a real Kubernetes of three nodes, which is built from Go modules first (root, go; half an hour)
#   make test-kind  docs/howto/kind-or-k3d.md command by command, on a cluster of kind made without a registry (root, go; a quarter of an hour)
#   make hosts-measured  docs/howto/several-docker-hosts.md: five seeds of three experiments on three hosts (root; half an hour; ARGS="--seeds 1")
#   make engines-measured  docs/engines.md: the same runs on every engine, one table (root, go; an hour and a half; ARGS="--seeds 1")
#   make kubernetes-measured  docs/kubernetes.md: two experiments in five seeds on a real Kubernetes, one table (root, go; half an hour)
#   make test-browser  every kind of report in Chromium: console, requests, axe, keys, touch (apt-get install chromium; minutes)
#   make test-systems  every experiment on etcd, Redis, PostgreSQL, RabbitMQ, nginx, gdnsd in full (root or Docker; half an hour)
#   make leader-kills  each of their leader kills in three seeds, and one table (root or Docker; an hour)
#   make measured docs/measured.md: all of that, observed beside predicted (RUNS=folder keeps and reuses runs; 90 minutes)
#   make setup    install into .venv and find or build the Toxiproxy server: what demo does first
#   make bench    every figure of the benchmarks in one table   make lint    style, types, layers
#   make bench-predictions   seconds lost as predicted and as seen, every kind that is predicted (45 minutes on local; ARGS="--runtime docker")
#   make what-each-buys   docs/what-each-buys.md: each mechanism, predicted and seen (25 minutes)
#   make ledger   docs/ledger.md: each mistake made on purpose must be caught, in ten seeds (an hour; ARGS="--seeds 1 --controls 1")
#   make soak     runs that are cut short at random instants, in every way: is anything left behind? (COUNT=40, about 10 minutes;
#                 RUNTIME=both needs root, for a Docker engine of its own)
#   make soak-elsewhere  commands of runs on an engine elsewhere that are killed, cut off or put to sleep (root; COUNT=40, half an hour)
#   make soak-kubernetes  commands and harnesses of runs on pods that are killed at random instants (root, go; COUNT=40, 40 minutes)
#   make mutations  1,000 mutants of every experiment and target: each planned or refused with file and line (an hour)
#   make docs     the documentation as a site, in build/site/html (strict: a broken link is an error)
#   make picture  docs/img/report.png from the newest run       make clean   remove what is built (not the runs)

BIN := .venv/bin
PY := $(BIN)/python
EXPERIMENT ?= experiments/quickstart.yaml
SOURCES := chaos tests bench targets tools
COUNT ?= 40
# Cores for tests. `make test` has a worker more, since those that start real systems mostly wait (tests/support/spread.py).
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 1); [ "$$n" -gt 4 ] && echo 4 || echo "$$n")
RUNTIME ?= local
# Workers of the Docker suite, which share an engine: 2 overlap what judges no time.
DOCKER_WORKERS ?= $(shell [ "$$(nproc 2>/dev/null || echo 1)" -gt 1 ] && echo 2 || echo 1)
# Modules are compiled once, not in each of the many processes that tests and benchmarks start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: docs setup demo test test-docker test-browser test-engines check lint bench bench-predictions what-each-buys ledger mutations soak picture clean
.DEFAULT_GOAL := demo

.venv/bin/python:
	@tools/venv .venv

# Stamps, so that a second call installs nothing.
.venv/.installed: pyproject.toml | .venv/bin/python
	@echo "installing Nines into .venv" >&2
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.installed-docs: pyproject.toml | .venv/bin/python
	@echo "installing Nines and what its site needs into .venv" >&2
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable ".[docs]"
	@touch $@ .venv/.installed

.venv/.installed-dev: pyproject.toml | .venv/bin/python
	@echo "installing Nines and what its tests need into .venv" >&2
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ .venv/.installed

setup: .venv/.installed
	@$(PY) -m chaos.net.toxiproxy.program >/dev/null

demo: setup
	@$(PY) -m tools.demo $(EXPERIMENT)

test: .venv/.installed-dev
	@if [ "$$NINES_CI" = 1 ]; then tools/ci-packages; fi
	@$(PY) -m chaos.net.toxiproxy.program >/dev/null
	$(PY) -m pytest -n $$(($(WORKERS) + 1)) -m "not docker and not engines and not kubernetes and not browser and not systems" $(ARGS)

test-docker: .venv/.installed-dev
	@$(PY) -m chaos.net.toxiproxy.program >/dev/null
	$(PY) -m pytest $(if $(filter-out 1,$(DOCKER_WORKERS)),-n $(DOCKER_WORKERS)) -m docker $(ARGS)

test-browser: .venv/.installed-dev
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev,browser]'
	$(PY) -m pytest -m browser tests/browser $(ARGS)

test-engines: .venv/.installed-dev
	@$(PY) -m chaos.net.toxiproxy.program >/dev/null
	$(PY) -m pytest -m engines $(ARGS)

.PHONY: test-current engines-measured hosts-measured
test-current: .venv/.installed-dev
	@$(PY) -m tools.current_engine run $(MAKE) --no-print-directory test-docker

.PHONY: test-kubernetes test-kind
test-kubernetes: .venv/.installed-dev
	@if [ "$$NINES_CI" = 1 ]; then tools/ci-packages; fi
	$(PY) -m pytest -m kubernetes tests/kubernetes $(ARGS)

test-kind: .venv/.installed-dev
	$(PY) -m pytest -m kubernetes tests/kind $(ARGS)

engines-measured: .venv/.installed-dev
	@$(PY) -m chaos.net.toxiproxy.program >/dev/null
	@$(PY) -m bench.engines $(ARGS)

.PHONY: kubernetes-measured
kubernetes-measured: .venv/.installed-dev
	@$(PY) -m bench.kubernetes $(ARGS)

hosts-measured: .venv/.installed-dev
	@$(PY) -m chaos.net.toxiproxy.program >/dev/null
	@$(PY) -m bench.hosts $(ARGS)

.PHONY: test-systems measured leader-kills
test-systems: .venv/.installed-dev
	@$(PY) -m chaos.net.toxiproxy.program >/dev/null
	$(PY) -m pytest -m systems $(ARGS)

leader-kills: .venv/.installed-dev
	@$(PY) -m chaos.net.toxiproxy.program >/dev/null
	@$(PY) -m bench.measured --leader-kills $(if $(RUNS),--runs $(RUNS)) $(ARGS)

measured: .venv/.installed-dev
	@$(PY) -m chaos.net.toxiproxy.program >/dev/null
	@$(PY) -m bench.measured $(if $(RUNS),--runs $(RUNS)) $(ARGS)

# Each on a core of its own with `make -j2 lint`.
.PHONY: style types types-darwin types-win32 layers gathered
lint: style types types-darwin types-win32 layers

style: .venv/.installed-dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: .venv/.installed-dev
	$(BIN)/mypy

types-darwin types-win32: types-%: .venv/.installed-dev
	$(BIN)/mypy --config-file tools/other-systems.ini --cache-dir .mypy_cache/$* --platform $*

layers: .venv/.installed-dev
	$(BIN)/lint-imports --no-logo

# All tests can be gathered; what this compiles no worker compiles again.
gathered: .venv/.installed-dev
	$(PY) -m pytest --collect-only --quiet --quiet

check: lint
	$(PY) -m pytest -n $(WORKERS) -q tests/unit $(ARGS)

bench: .venv/.installed-dev
	@$(PY) -m chaos.net.toxiproxy.program >/dev/null
	@$(PY) -m bench $(ARGS)

mutations: .venv/.installed-dev
	@NINES_MUTATIONS=$${NINES_MUTATIONS:-1000} $(PY) -m pytest -q --timeout 0 tests/unit/experiment/test_mutations.py $(ARGS)

bench-predictions: .venv/.installed-dev
	@$(PY) -m chaos.net.toxiproxy.program >/dev/null
	@$(PY) -m bench.predictions $(ARGS)

what-each-buys: .venv/.installed-dev
	@$(PY) -m chaos.net.toxiproxy.program >/dev/null
	@$(PY) -m bench.what_each_buys $(ARGS)

ledger: .venv/.installed-dev
	@$(PY) -m chaos.net.toxiproxy.program >/dev/null
	@$(PY) -m tools.ledger $(ARGS)

soak: .venv/.installed
	@$(PY) -m chaos.net.toxiproxy.program >/dev/null
	@$(PY) -m tools.soak --runtime $(RUNTIME) --count $(COUNT) $(ARGS)

.PHONY: soak-elsewhere
soak-elsewhere: .venv/.installed-dev
	@$(PY) -m chaos.net.toxiproxy.program >/dev/null
	@$(PY) -m tools.soak.elsewhere --count $(COUNT) $(ARGS)

.PHONY: soak-kubernetes
soak-kubernetes: .venv/.installed-dev
	@$(PY) -m tools.soak.kubernetes --count $(COUNT) $(ARGS)

picture: .venv/.installed
	@tools/picture docs/img/report.png

docs: .venv/.installed-docs
	$(PY) -m tools.site

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
