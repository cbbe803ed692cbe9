# Three commands for a fresh machine with Python >= 3.11 and make:
#   make mnist        a network learns handwritten digits; pictures and the model land in out/mnist/
#   make page         draw digits in the browser, and the network of make mnist reads them
#   make test         the whole test suite
# and for those who work on it:
#   make lint         ruff and pyright
#   make test-oldest  the tests that the version of NumPy can matter to, on the oldest that is allowed
#   make test-peers   the tests of weights and arrays from PyTorch and JAX, beside both, in the environment of bench
#   make bench        tinynn timed beside its peers, which get an environment of their own, .venv-bench; minutes
#   make bench-full   the same with all rounds, torch.compile, and a step over width and batch; some 15 minutes
#   make gpu          on a machine with an NVIDIA GPU: the tests that need one, then bench-gpu; CUDA=13 for CUDA 13
#   make bench-gpu    tinynn timed on a GPU beside its peers, in an environment of its own, .venv-gpu; 8 minutes
#   make bench-mpi    scaling over ranks, measured and predicted, and large batches; ten minutes
#   make accuracy     the MNIST examples over several seeds; some 35 minutes
#   make coverage     the test suite, and which lines of tinynn it does not reach: docs/coverage.md; ten minutes
#   make mutation     makes small changes to the code, says which of them no test notices: docs/mutation.md; half an hour
#   make pictures     draws the pictures in the README anew
#   make docs         writes docs/layers.md and docs/onnx.md anew, from the code, and builds the site of docs/ into out/site
# PYTHON=python3.13 chooses another interpreter.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# CuPy, JAX and PyTorch all take the libraries of one major version of CUDA: 12, which every driver since 525 runs, or
# 13. From 2.11 on PyTorch itself comes for CUDA 13.
CUDA ?= 12
VENV_GPU ?= .venv-gpu
TORCH_12 := >=2.6,<2.11
TORCH_13 := >=2.11

# For matrix products as small as those of the tests and examples one BLAS thread is faster than several, and where
# other programs want the processor too, much faster.
export OPENBLAS_NUM_THREADS ?= 1

# The suite starts Python some hundred times: it keeps the byte code, whatever the shell says, so that only the first
# of them has to compile tinynn, and the second run of the suite need not compile the tests again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: mnist page test lint test-oldest test-peers bench bench-full gpu bench-gpu bench-mpi has-gpu accuracy coverage mutation pictures docs clean

mnist: $(VENV)/.installed
	@$(BIN)/python examples/mnist.py

page: $(VENV)/.installed
	@test -f out/mnist/model.npz || $(MAKE) --no-print-directory mnist
	@$(BIN)/python -m tinynn serve out/mnist/model.npz --corrections out/corrections

test: $(VENV)/.tested
	$(BIN)/python -m pytest -n auto

# Left out is what no version of NumPy has a say in: how source, docs and translations are written; the site and the
# notebooks, whose code is that of the tutorial and the examples; what is computed in a browser; which files and
# processes are there when one is killed; and how the benchmark on a GPU deals with its processes, and reports. Of
# what hypothesis draws for layers, their gradients and optimizers a quarter is enough to meet another rule of dtypes
# or another ufunc: both show in every case that has them, not in a rare one.
ANY_NUMPY := benchmarks_gpu benchmarks_mpi benchmarks_report chinese docs killed notebooks onnx_docs package page_browser \
  rank_deaths site

test-oldest: .venv-oldest/.installed
	.venv-oldest/bin/python -m pytest -n auto --hypothesis-profile=oldest $(ANY_NUMPY:%=--ignore=tests/test_%.py)

test-peers: .venv-bench/.installed
	.venv-bench/bin/python -m pytest tests/test_torch_weights.py tests/test_dlpack.py

lint: $(VENV)/.linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: .venv-bench/.installed
	env -u OPENBLAS_NUM_THREADS .venv-bench/bin/python -m benchmarks.run

bench-full: .venv-bench/.installed
	env -u OPENBLAS_NUM_THREADS .venv-bench/bin/python -m benchmarks.run --full

bench-gpu: $(VENV_GPU)/.installed-$(CUDA)
	env -u OPENBLAS_NUM_THREADS $(VENV_GPU)/bin/python -m benchmarks.gpu

# The benchmark runs even if a test fails, since a GPU may be there for a short time only; the failure is not forgotten.
gpu: $(VENV)/.tested
	@$(PYTHON) tinynn/app/command/cuda_driver.py || { $(BIN)/python -m tinynn doctor; exit 1; }
	@$(MAKE) --no-print-directory $(VENV_GPU)/.installed-$(CUDA)
	@$(VENV_GPU)/bin/python -m tinynn doctor || true
	@$(VENV_GPU)/bin/python -m pytest -m gpu -n 4; tests=$$?; \
	  env -u OPENBLAS_NUM_THREADS $(VENV_GPU)/bin/python -m benchmarks.gpu && exit $$tests

# One line where there is no GPU, before anything is installed for it.
has-gpu:
	@$(PYTHON) tinynn/app/command/cuda_driver.py

bench-mpi: $(VENV)/.tested
	$(BIN)/python -m benchmarks.mpi
	$(BIN)/python -m benchmarks.large_batch

accuracy: $(VENV)/.installed
	$(BIN)/python -m benchmarks.mnist_accuracy
	$(BIN)/python -m benchmarks.cnn_accuracy

coverage: $(VENV)/.quality
	$(BIN)/python -m pytest -n auto --cov --cov-report=term-missing:skip-covered

mutation: .venv-mutation/.installed
	.venv-mutation/bin/python tests/mutation.py

pictures: $(VENV)/.installed
	$(BIN)/python examples/mnist.py --out out/pictures
	$(BIN)/python examples/quadrant.py --out out/pictures
	$(BIN)/python examples/residual_graph.py --out out/pictures
	$(BIN)/python examples/autoencoder.py --out out/pictures
	cp out/pictures/*.png examples/pictures/

docs: $(VENV)/.tested
	$(BIN)/python docs/tables.py
	$(BIN)/python docs/onnx_tables.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo out/site/index.html

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tinynn needs Python 3.11 or newer: make PYTHON=python3.13 ...")'
	@echo "Setting up $(VENV); this takes a minute, once."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --upgrade pip
	@$(BIN)/pip install --quiet -e ".[llvm,plot,progress,download,images,serve]"
	@touch $@

# All extras, so that their tests run: for digits alone that would be a long wait.
$(VENV)/.tested: $(VENV)/.installed
	@$(BIN)/pip install --quiet -e ".[test]"
	@touch $@

$(VENV)/.linters: $(VENV)/.tested
	@$(BIN)/pip install --quiet -e ".[lint]"
	@touch $@

$(VENV)/.quality: $(VENV)/.tested
	@$(BIN)/pip install --quiet -e ".[quality]"
	@touch $@

.venv-oldest/.installed: pyproject.toml
	@$(PYTHON) -m venv .venv-oldest
	@.venv-oldest/bin/pip install --quiet --upgrade pip
	@.venv-oldest/bin/pip install --quiet -e ".[test]" "numpy==2.0.0"
	@touch $@

# Without tinynn itself, whose files would be found before the changed ones.
.venv-mutation/.installed: pyproject.toml
	@$(PYTHON) -m venv .venv-mutation
	@.venv-mutation/bin/pip install --quiet --upgrade pip
	@.venv-mutation/bin/pip install --quiet ".[test,quality]"
	@.venv-mutation/bin/pip uninstall --quiet --yes tinynn-xp
	@touch $@

.venv-bench/.installed: pyproject.toml benchmarks/requirements.txt
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/pip install --quiet --upgrade pip
	@.venv-bench/bin/pip install --quiet -e . -r benchmarks/requirements.txt
	@touch $@

$(VENV_GPU)/.installed-$(CUDA): pyproject.toml benchmarks/requirements-gpu.txt | has-gpu
	@echo "Setting up $(VENV_GPU) for CUDA $(CUDA): some gigabytes, once."
	@$(PYTHON) -m venv --clear $(VENV_GPU)
	@$(VENV_GPU)/bin/pip install --quiet --upgrade pip
	@CUDA=$(CUDA) TORCH='$(TORCH_$(CUDA))' $(VENV_GPU)/bin/pip install --quiet -e ".[cuda$(CUDA)-ctk,test]" \
	  -r benchmarks/requirements-gpu.txt
	@touch $@

clean:
	rm -rf $(VENV) .venv-* out build dist *.egg-info
