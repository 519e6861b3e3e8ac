# `make demo` and `make test` are all a newcomer needs; each installs what is missing first.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-pipeline test-steps test-modules test-browser test-long test-ways test-s3 test-floor check bench dist lock clean

# Packages are installed without bytecode: Python writes it when it first imports them.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
INSTALLED := $(VENV)/.installed
BROWSER := .browser
# Java compiles less, which for many small queries on two cores is a third less work; more room
# for classes and new objects means fewer collections.
JAVA := -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:MetaspaceSize=256m -XX:NewSize=320m
PYTEST := JAVA_TOOL_OPTIONS="$(JAVA)" $(BIN)/python -m pytest

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(INSTALLED)  ## the virtual environment, from the hash-locked requirements

$(INSTALLED): requirements.lock pyproject.toml
	@sh .ci/prerequisites "$(PYTHON)"
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv==$(UV_VERSION); }
	@echo "installing the locked requirements into $(VENV) (about 7 GB, mostly torch)"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(INSTALLED)  ## the whole pipeline on this machine's own Python files
	@$(BIN)/mira demo

# Three processes on two cores, each with one Spark session: much of the time they wait.
test: $(INSTALLED)  ## the test suite
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target test-pipeline test-steps test-modules

STEPS := tests/steps tests/selection tests/scoring

test-pipeline: $(INSTALLED)
	@$(PYTEST) tests/integration -m "not long"

test-steps: $(INSTALLED)
	@$(PYTEST) $(STEPS) -m "not long"

test-modules: $(INSTALLED)
	@$(PYTEST) tests $(foreach folder,$(STEPS) tests/integration,--ignore $(folder)) -m "not long and not browser"

# In a folder of its own: the demo's corpus is what is installed in the environment.
$(BROWSER)/.installed: $(INSTALLED) requirements-browser.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --target $(BROWSER) --require-hashes -r requirements-browser.lock
	@touch $@

test-browser: $(BROWSER)/.installed  ## the report in Chromium, which it needs and does not install
	@PYTHONPATH=$(BROWSER) $(PYTEST) tests/report -m browser

test-long: $(BROWSER)/.installed  ## the suite, its long repetitions, and test-browser
	@PYTHONPATH=$(BROWSER) $(PYTEST)

test-ways: $(INSTALLED)  ## the pipeline by the wheel, by the zip on executors of their own, by Connect
	@$(PYTEST) tests/integration/test_wheel.py tests/integration/test_platform.py tests/integration/test_connect.py

test-s3: $(INSTALLED)  ## tables and root on S3, a server on loopback; fetches 690 MB the first time
	@$(PYTEST) tests/lake/test_storage.py tests/integration/test_s3.py

test-floor: $(INSTALLED)  ## the suite with the oldest Spark and Delta, and with those of EMR
	@.ci/floor 4.0.0 4.0.0
	@.ci/floor 4.1.1 4.2.0

check: $(INSTALLED)  ## formatting, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: $(INSTALLED)  ## the benchmarks; prints every figure
	@$(BIN)/python -m tests.benchmarks

dist: $(INSTALLED)  ## the wheel, and the same file as dist/mira_spark.zip for --py-files
	@rm -rf build dist
	@$(BIN)/python -m build --quiet --wheel --no-isolation
	@cp dist/*.whl dist/mira_spark.zip && ls dist

lock: ## resolve the locks anew from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --quiet --extra local --extra dev --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --universal --python-version 3.11 \
	  --output-file requirements.lock
	@echo "selenium>=4.20,<5" | $(BIN)/uv pip compile - --quiet --constraint requirements.lock --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --universal --python-version 3.11 \
	  --output-file requirements-browser.lock

clean:  ## everything made here but the virtual environment
	@rm -rf .mira build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
