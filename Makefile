# SPDX-License-Identifier: Apache-2.0
# What can be made of a checkout. Needs make and Python 3.11 or newer with venv; everything else is installed
# below .venv, once, and again only when pyproject.toml, setup.py or the list of files changes.

PYTHON ?= python3
VENV ?= .venv
# Options for the registry (make serve ARGS="--config my.yml") and for pytest (make test PYTEST_ARGS="-k upload").
ARGS ?=
PYTEST_ARGS ?=
# What make faults runs: all campaigns, or one (make faults CAMPAIGN=tests/faults/test_power.py).
CAMPAIGN ?= tests/faults
# What make coverage runs: no clients, no clouds, no campaigns.
COVERING ?= $(addprefix tests/,oci storage ipc registry auth process identify web middleware)
# Rooms of which every branch is to be gone through; a process that is killed tells nothing of the last it did.
WHOLE := txregistry/oci/*,txregistry/storage/*,txregistry/ipc/*,txregistry/registry/*,txregistry/auth/*,txregistry/process/*

BIN := $(VENV)/bin
FILES := $(shell find txregistry drivers twisted -name '*.py' -o -name py.typed | LC_ALL=C sort)
STATE := $(shell { printf '%s\n' $(FILES); cat pyproject.toml setup.py; } | cksum | tr ' ' -)
INSTALLED := $(VENV)/.installed-$(STATE)
INSTALLED_TESTS := $(VENV)/.installed-tests-$(STATE)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help serve test lint coverage faults badinputs events hosts figures bench loginstorm clean

help:
	@echo "make serve   serve a registry on 127.0.0.1:5000 that stores in ./registry-data"
	@echo "make test    check the code and run all tests"
	@echo "make lint    check the code only"
	@echo "make coverage  which lines and branches the tests of the rooms go through; fails if one is missed"
	@echo "make faults  try to make it lose something, in the long form; FAULTS_RESULTS=FILE keeps the figures"
	@echo "make events  the part of that which is about notifications: 10,000 pushes while everything dies, an hour without the endpoint"
	@echo "make hosts   many registries on one bucket, and slow uploads to it, in the long form; prints figures"
	@echo "make figures how fast a GiB goes through a registry to S3 and back, and in how much memory"
	@echo "make badinputs  send what hostile clients send; writes docs/reference/bad-inputs.md"
	@echo "make bench   measure against registry:2 or registry:3"
	@echo "make loginstorm  measure what 200 clients with bad passwords cost others"
	@echo "make clean   remove what was installed and built; the data stays"

serve: $(INSTALLED)
	@exec $(BIN)/txregistry serve $(ARGS)

test: lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(INSTALLED_TESTS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

coverage: $(INSTALLED_TESTS)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -p tests.covering $(COVERING) $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet --append
	$(BIN)/coverage report --omit='$(WHOLE)'
	$(BIN)/coverage report --fail-under=99.8 --include='$(WHOLE)'

faults: $(INSTALLED_TESTS)
	FAULTS=long $(BIN)/python -m pytest $(CAMPAIGN) $(PYTEST_ARGS)

events: $(INSTALLED_TESTS)
	FAULTS=long $(BIN)/python -m pytest -s tests/faults/test_notifications.py tests/faults/test_endpoint_down.py $(PYTEST_ARGS)

hosts: $(INSTALLED_TESTS)
	HOSTS=long $(BIN)/python -m pytest -s tests/hosts $(PYTEST_ARGS)

badinputs: $(INSTALLED_TESTS)
	$(BIN)/python -m tests.hostile.campaign --page docs/reference/bad-inputs.md $(ARGS)

figures: $(INSTALLED_TESTS)
	HOSTS=long $(BIN)/python -m pytest -s tests/hosts/test_figures.py $(PYTEST_ARGS)

bench: $(INSTALLED_TESTS)
	$(BIN)/python -m tests.bench.run $(ARGS)

loginstorm: $(INSTALLED_TESTS)
	$(BIN)/python -m tests.bench.loginstorm $(ARGS)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, $(PYTHON) is older: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' || \
		{ echo "the venv module is needed: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(BIN)/python
	@echo "installing into $(VENV), which takes a moment the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(INSTALLED_TESTS): $(BIN)/python
	@echo "installing into $(VENV), with what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(INSTALLED)
