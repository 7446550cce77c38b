# `make demo` and `make test` set everything up by themselves: they need Python 3.11 or later, make and nothing else.
#
#   make demo ARGS=--exit      more options for the demo
#   make test PYTEST='-k gate' more options for pytest
#   make install PYTHON=python3.12

PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help install demo test extras lint chromium fashion clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

install: .venv/.demo ## make .venv, with what the demo needs

demo: .venv/.demo ## nine months of real flights through the whole loop
	$(BIN)/incumbent demo $(ARGS)

test: lint chromium fashion ## lint, then every test
	$(BIN)/pytest -n 2 --dist loadgroup $(PYTEST)

extras: .venv/.extras ## what some tests need and most people do not: CatBoost and PyTorch; without it they are skipped

lint: .venv/.dev ## ruff, import contracts, types
	$(BIN)/ruff check
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

chromium: ## the browser that the tests of the pages drive
	@command -v chromium >/dev/null || { $(call system,chromium,The tests of the pages drive a browser.); }

# Without them that example's tests are skipped, and say so: 31 MB are no reason to stop.
fashion: ## the images of garments that one example judges people by
	@test -e /usr/share/datasets/fashion-mnist || ( $(call system,dataset-fashion-mnist,One example needs images.) ) || true

clean: ## remove .venv, caches and what the demo left
	rm -rf .venv demo dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# LightGBM needs the OpenMP runtime of the system, which the smallest machines lack.
.venv/.demo: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing incumbent and what the demo needs (about 750 MB, once)"
	$(PIP) --editable '.[demo]'
	@$(BIN)/python -c 'import lightgbm' 2>/dev/null || { $(call system,libgomp1,LightGBM needs the OpenMP runtime.); }
	@$(BIN)/python -c 'import lightgbm'
	@touch $@

.venv/.dev: .venv/.demo
	@echo "installing what the tests need"
	$(PIP) --editable '.[dev]'
	@touch $@

# PyTorch for processors: the build for graphics cards, which a machine without one takes too, has several GB.
.venv/.extras: .venv/.dev
	@echo "installing CatBoost and PyTorch (about 900 MB, once)"
	$(PIP) --editable '.[catboost,torch]'
	@touch $@

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or later is needed, and none was found: name it with make PYTHON=...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(call system,python3-venv,Python has no ensurepip.); }
	$(PYTHON) -m venv .venv

# $(call system,package,reason): install a system package where we may, else ask for it.
define system
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null; \
else echo '$(2) Please install the system package $(1) (Debian: sudo apt-get install $(1)), and run make again.' >&2; exit 1; fi
endef
