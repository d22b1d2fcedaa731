# The two commands of the README are `make backtest` and `make test`; `make help` lists the rest.

PYTHON := .venv/bin/python
EXAMPLE := tests/data/parts
EXAMPLE_DATA := data/example

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help docs backtest paper test check format environment environment-dev example-data requirements reference argo e2e bench fuzz clean

help:  ## list the targets
	@awk -F ':.*##' '/^[a-z-]+:.*##/ { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

backtest: environment example-data  ## run the example experiment and print the path of its report
	@$(PYTHON) trading_runtime/local/backtest.py --config trading_runtime/local/local.json

paper: environment example-data  ## replay the example data through a paper session, and compare it with a backtest
	@$(PYTHON) trading_runtime/local/trade.py --config trading_runtime/local/paper.yaml --fresh
	@.venv/bin/trading-runtime parity latest
	@echo "a session of your own: docs/live.md"

test: environment-dev  ## run the tests; ARGS="-k word" narrows them
	$(PYTHON) -m pytest -n auto $(ARGS)

check: environment-dev  ## lint, types, shell scripts, workflows, tests: all that CI runs
	scripts/check.sh

format: environment-dev  ## lay the code out as `make check` wants it
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

environment:  ## make .venv with what a run needs
	@scripts/environment.sh run

environment-dev:  ## add what tests and checks need
	@scripts/environment.sh dev

example-data: $(EXAMPLE_DATA)/manifest.json  ## prepare the example's market data

# An environment that is merely looked at must not make the data look old, hence the bar.
$(EXAMPLE_DATA)/manifest.json: $(wildcard $(EXAMPLE)/*) trading_runtime/datasets/manifest.py | environment
	@.venv/bin/trading-runtime data prepare $(EXAMPLE)/bars.data.json --to $(EXAMPLE_DATA) --force
	@touch $@

requirements: environment-dev  ## resolve the requirements files again
	scripts/compile-requirements.sh $(ARGS)

reference: environment-dev  ## write docs/reference/, the JSON Schemas and the dashboards from the code
	$(PYTHON) scripts/make_reference.py
	$(PYTHON) scripts/make_dashboards.py
	$(PYTHON) -m trading_runtime.cli.main config schema > schemas/experiment.schema.json

docs: environment-dev  ## build the documentation site in site/; warnings fail
	$(PYTHON) scripts/make_site.py

argo: environment  ## render the cluster's templates from their sources
	$(PYTHON) -m argo.render

e2e: environment-dev  ## the end-to-end tests, on the cluster, S3 and registry that the environment names
	scripts/e2e.sh $(ARGS)

bench: environment-dev  ## measure speed and memory against pinned peers; ARGS="--quick", "--only NAME", "--write"
	$(PYTHON) -m benchmarks $(ARGS)

fuzz: environment-dev  ## try every parser with a few thousand damaged documents; FUZZ_EXAMPLES=20000 tries more
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-2000} $(PYTHON) -m pytest -q tests/fuzz $(ARGS)

clean:  ## remove what make made: environment, example data, caches (results stay)
	rm -rf .venv $(EXAMPLE_DATA) .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find trading_runtime tests -name __pycache__ -type d -prune -exec rm -rf {} +
