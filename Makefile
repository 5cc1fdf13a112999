# Everything happens in .venv, which is made here and can be deleted at any time.
#   make quickstart    install, then train a small GAN and show where its pictures went
#   make test          install with the tools of development, then run every test
#   make check         lint, format, types, architecture       make fix    mend what can be mended
# PYTHON=python3.12 chooses the Python that .venv is made with.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Newer than pyproject.toml and constraints.txt: nothing is to be installed.
USER_STAMP := $(VENV)/.installed
DEVELOPER_STAMP := $(VENV)/.installed-for-development

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help quickstart test check fix

help:
	@sed -n 's/^#   //p' Makefile

quickstart: $(USER_STAMP)
	@$(BIN)/gander train quickstart

test: $(DEVELOPER_STAMP)
	@$(BIN)/python -m pytest -m '' -rs

check: $(DEVELOPER_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m '' tests/test_architecture.py

fix: $(DEVELOPER_STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  found=$$($(PYTHON) -c 'import platform; print(platform.python_version())' 2>/dev/null || echo "not there"); \
	  echo "gander needs Python 3.11 or newer, and $(PYTHON) is $$found." \
	    "Try: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch comes first and alone: with no other package to please, pip takes the build that its index offers.
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

$(USER_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV): the first time takes a few minutes, most of it for torch."
	$(INSTALL) torch
	$(INSTALL) --quiet -e .
	@touch $@

$(DEVELOPER_STAMP): pyproject.toml constraints.txt | $(USER_STAMP)
	$(INSTALL) --quiet -e '.[dev]'
	@touch $@
