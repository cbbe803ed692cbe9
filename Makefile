# Two commands for a fresh machine with Python >= 3.11 and make:
#   make mnist    a network learns handwritten digits; pictures and the model land in out/
#   make test     the whole test suite
#   make bench    one epoch timed beside PyTorch and JAX, which get an environment of their own, .venv-bench
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

# The same suite on the oldest versions that pyproject.toml allows.
test-oldest: .venv-oldest/.installed
	.venv-oldest/bin/python -m pytest

.venv-oldest/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install --quiet --upgrade pip
	.venv-oldest/bin/pip install --quiet -e ".[test]" "numpy==2.0.0"
	touch $@

lint: $(VENV)/.linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

$(VENV)/.linters: $(VENV)/.installed
	$(BIN)/pip install --quiet -e ".[lint]"
	touch $@

.venv-bench/.installed: pyproject.toml benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --upgrade pip
	.venv-bench/bin/pip install --quiet -e . -r benchmarks/requirements.txt
	touch $@

bench: .venv-bench/.installed
	.venv-bench/bin/python -m benchmarks.nielsen_epoch

clean:
	rm -rf $(VENV) .venv-* out build dist *.egg-info
