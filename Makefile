# make run: the gateway in the foreground, from a fresh clone. make test: lint, types and all tests.
# Another interpreter: make PYTHON=python3.13 venv. Some tests only: make test TESTS="tests/http -k chunked".

PYTHON ?= python3
TESTS ?=
ON_ANY_REACTOR := tests/edge tests/flow tests/upstream tests/wire tests/third_party tests/test_eager.py tests/test_service.py
# What filters decide is the same on each of them.
POLICIES := browser_cors credentials examples idp jwks rate_limit scenarios
BIN := .venv/bin
# the warning says that the current folder holds the package too, which is the point
PIP := PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help venv run test lint types coverage reactor-tests bench fuzz docs clean

help:
	@echo "make run       the gateway in the foreground, with etc/gw.ini"
	@echo "make test      lint, types, all tests and reactor-tests; TESTS='tests/http -k name' for some"
	@echo "make lint      ruff: rules and format"
	@echo "make types     mypy"
	@echo "make coverage  all tests, with branch coverage"
	@echo "make reactor-tests  Twisted's own suites and treq's, on the uv reactor and on the stock asyncio reactor"
	@echo "make bench     the benchmark against Envoy"
	@echo "make fuzz      bent bytes for some minutes: parsers against h11, a gateway over sockets; SEED=n, SECONDS=n"
	@echo "make docs      writes the option reference from the declarations"
	@echo "make venv      the environment alone: .venv/bin/twistd, .venv/bin/gwproxy"
	@echo "make clean     removes .venv and all that was built"

venv: .venv/.installed

# Made again when what is installed changes; the source itself is used in place. The plugin is copied: see setup.py.
.venv/.installed: setup.cfg setup.py twisted/plugins/gwproxy_plugin.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "gwproxy needs Python 3.11 or newer. Name one with: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@# Debian keeps the venv module apart from python3
	@$(PYTHON) -c 'import venv; from ensurepip import version' 2>/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv; \
		else \
			echo "$(PYTHON) cannot make environments. On Debian: sudo apt-get install python3-venv" >&2; exit 1; \
		fi; }
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --editable '.[test]'
	@touch $@

.venv/.installed-bench: .venv/.installed
	$(PIP) install --quiet --editable '.[test,bench]'
	@touch $@

.venv/.installed-reactor-tests: .venv/.installed
	$(PIP) install --quiet --editable '.[test,reactor-tests]'
	@touch $@

run: venv
	$(BIN)/twistd -n --pidfile= gwproxy --config etc/gw.ini

# All tests on the uv reactor, at the end; before that, what meets a reactor on Twisted's own, and the uv reactor's judges.
test: lint types
ifeq ($(TESTS),)
	$(BIN)/python -m pytest --reactor=default $(ON_ANY_REACTOR) $(POLICIES:%=--ignore=tests/wire/test_%.py)
	$(MAKE) --no-print-directory reactor-tests
endif
	$(BIN)/python -m pytest $(TESTS)

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/mypy

coverage: venv
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(TESTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

reactor-tests: .venv/.installed-reactor-tests
	$(BIN)/python -m tests.reactor_suites

bench: .venv/.installed-bench
	$(BIN)/python -m bench

# What it finds becomes a test with its bytes: FOUND in tests/fuzz/test_parsers.py, or one in tests/wire.
SEED ?= $(shell date +%j%H%M)
SECONDS ?= 180
fuzz: venv
	GWPROXY_FUZZ_CASES=200000 GWPROXY_FUZZ_SEED=$(SEED) GWPROXY_SMUGGLING_CASES=30000 GWPROXY_SMUGGLING_SEED=$(SEED) \
		$(BIN)/python -m pytest tests/fuzz tests/wire/test_smuggling.py -o faulthandler_timeout=0
	$(BIN)/python -m tests.fuzz.socket_fuzz --seconds $(SECONDS) --seed $(SEED)

docs: venv
	$(BIN)/gwproxy reference docs/configuration.md

clean:
	rm -rf .venv build dist gwproxy.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
