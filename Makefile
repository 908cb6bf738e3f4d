# One line each: make run, make test, make check. PIP_ARGS is handed to pip, for instance
#   make run PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PYTHON ?= python3
PIP_ARGS ?=
BIN := .venv/bin
TOGETHER := --numprocesses 2

.PHONY: run test check lint wheel-test clean

run: .venv/installed
	$(BIN)/gancli train --digit 7
	$(BIN)/gancli animate digit-7

test: .venv/installed
	$(BIN)/pytest $(TOGETHER)

check: lint test

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The same suite against the built wheel instead of the checkout.
wheel-test: .venv/installed-dev
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist
	$(BIN)/pip install $(PIP_ARGS) --quiet --no-deps --force-reinstall dist/*.whl
	GANCLI_EXPECT_WHEEL=1 $(BIN)/pytest $(TOGETHER); status=$$?; \
	$(BIN)/pip install $(PIP_ARGS) --quiet --no-deps --editable .; exit $$status

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install $(PIP_ARGS) --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install $(PIP_ARGS) --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
