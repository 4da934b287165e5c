# `make demo` and `make test` set up everything they need in .venv.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PRESET ?= small
WORKERS ?= 2
# One thread of BLAS for each worker: two on one core wait for each other.
PYTEST = OPENBLAS_NUM_THREADS=1 $(RUN) -m pytest -q -n $(WORKERS) \
  --dist loadfile --no-loadscope-reorder
# Four simulated devices wait for each other longer than XLA does when the
# machine is busy. The older code generator compiles almost twice as fast, and
# most of what tests cost is compilation; cut into parts for several threads, a
# program costs more in all. `test-avx2` tests what users have.
FLAGS = $$XLA_FLAGS --xla_cpu_collective_call_terminate_timeout_seconds=300
FAST = XLA_FLAGS="$(FLAGS) --xla_cpu_use_fusion_emitters=false \
  --xla_cpu_parallel_codegen_split_count=1"
PIP := $(if $(shell command -v uv 2>/dev/null),\
  uv pip install -q --python $(RUN),\
  $(RUN) -m pip install -q --disable-pip-version-check)
export PYTHONUNBUFFERED := 1

.PHONY: install demo test test-slow test-avx2 docs lint format clean
.DEFAULT_GOAL := demo

$(VENV)/.installed: setup.py pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is" \
	    "$$($(PYTHON) -V 2>&1). Use make PYTHON=python3.12, say."; exit 2; }
	@echo "Installing into $(VENV), about a minute ..."
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv -q --clear --python $(PYTHON) $(VENV); \
	else \
	  $(PYTHON) -m venv --clear $(VENV); \
	fi
	@$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@

install: $(VENV)/.installed ## EXTRA=cuda, tpu, prepare, video, peers or colab as well
	@$(PIP) -c constraints.txt -e '.$(if $(EXTRA),[$(EXTRA)])' && \
	  echo "make install: $(VENV) is ready."

demo: $(VENV)/.installed ## the motivating experiment on digits; PRESET=tiny: 2 minutes
	@$(RUN) -m experiments.demo --preset=$(PRESET)

test: $(VENV)/.installed ## all tests but the slow ones; WORKERS=8 on 8 cores
	@$(FAST) $(PYTEST) && echo "make test: all tests passed."

test-slow: $(VENV)/.installed
	@$(FAST) $(PYTEST) -m slow && echo "make test-slow: all tests passed."

test-avx2: $(VENV)/.installed ## tests that compare floats, without AVX-512
	@XLA_FLAGS="$(FLAGS) --xla_cpu_max_isa=AVX2" $(PYTEST) \
	  $$(grep -rlE 'assert_(allclose|array_equal)' tests --include='test_*.py') && \
	  echo "make test-avx2: all tests passed."

docs: $(VENV)/.installed ## the site; a broken link fails
	@$(PIP) -c constraints.txt -e '.[docs]' && \
	  NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build -q -d site && \
	  echo "make docs: open site/index.html."

lint: $(VENV)/.installed
	@$(RUN) -m ruff check . && $(RUN) -m ruff format --check . && \
	  $(VENV)/bin/lint-imports && $(RUN) -m mypy && \
	  echo "make lint: nothing to fix."

format: $(VENV)/.installed
	@$(RUN) -m ruff check --fix . && $(RUN) -m ruff format .

clean: ## removes the virtual environment; runs/ stays
	rm -rf $(VENV) build site *.egg-info
