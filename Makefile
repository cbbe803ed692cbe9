# Two commands for a fresh machine with Python >= 3.11 and make:
#   make mnist    a network learns handwritten digits; pictures and the model land in out/
#   make test     the whole test suite
# PYTHON=python3.13 chooses another interpreter.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: mnist test lint bench test-oldest clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e ".[test]"
	touch $@

mnist: $(VENV)/.installed
	$(BIN)/python examples/mnist.py

test: $(VENV)/.installed
	$(BIN)/python -m pytest

lint: $(VENV)/.installed
	$(BIN)/pip install --quiet -e ".[lint]"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

clean:
	rm -rf $(VENV) .venv-* out build dist *.egg-info
