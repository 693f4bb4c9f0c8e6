# Everything here sets itself up in .venv: it needs Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help demo demo-remediation test test-thorough test-spark check check-reports check-formats screenshots lint types layers docs docs-check \
  format golden bench constraints clean

help: ## Show what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' Makefile | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

$(READY): constraints.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY) ## Audit the example estate: terminal summary, out/report.html, out/report.json, out/report.csv
	@mkdir -p out
	@echo '$$ auditor audit --inventory examples/estate --config examples/auditor.yaml --as-of 2026-11-02T06:00:00Z -o ...'
	@$(BIN)/auditor audit --inventory examples/estate --config examples/auditor.yaml --as-of 2026-11-02T06:00:00Z \
	  -o out/report.html -o out/report.json -o out/report.csv; code=$$?; \
	  if [ $$code -eq 1 ]; then echo 'The example estate has violations, so the exit code is 1: that is the demo working.'; \
	  else exit $$code; fi

demo-remediation: $(READY) ## Audit, plan, apply and audit again, on a stand-in for Azure: out/remediation
	$(BIN)/python examples/demo_remediation.py

test: $(READY) ## Run all Python tests
	$(BIN)/python -m pytest -q -n auto

test-thorough: $(READY) ## Run the tests with ten times as many examples, new ones each time
	EXAMPLES=10 $(BIN)/python -m pytest -q -n auto

test-spark: ## Run the tests of --engine spark in an environment of their own (needs Java 17 or newer)
	$(PYTHON) -m venv .venv-spark
	.venv-spark/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	.venv-spark/bin/python -m pip install --quiet --disable-pip-version-check 'pyspark>=4,<5' 'sqlglot>=30,<31'
	.venv-spark/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	.venv-spark/bin/python -m pytest -q tests/test_spark.py

check: test lint types layers docs-check ## Run the tests and every other check

check-reports: $(READY) ## Check HTML reports with validators and in a browser: Node.js, and what it can install
	$(BIN)/python tests/browser/check.py

check-formats: $(READY) ## Check reports with the validators of others; says which of them are not there
	@code=0; for script in tests/validators/*.py; do $(BIN)/python $$script || code=1; done; exit $$code

screenshots: $(READY) ## Take the pictures of the example's page in docs/images again
	$(BIN)/python tests/browser/screenshots.py

lint: $(READY) ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## Types
	$(BIN)/mypy

layers: $(READY) ## What may import what
	$(BIN)/lint-imports --no-cache

docs: $(READY) ## Write the generated reference again
	$(BIN)/python -m auditor.reference docs

docs-check: $(READY) ## The generated reference is up to date
	$(BIN)/python -m auditor.reference docs --check
	$(BIN)/python examples/make_estate.py --check

format: $(READY) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: $(READY) ## Write the example's page again that tests compare with; look at it first
	$(BIN)/python tests/golden/make_golden.py

bench: $(READY) ## Print benchmark figures as JSON
	$(BIN)/python bench/bench_audit.py exports 1000
	$(BIN)/python bench/bench_audit.py snapshot 100000

constraints: $(READY) ## Pin newer versions of what the package and its checks need
	$(BIN)/pip-compile --quiet --upgrade --extra dev --extra xlsx --generate-hashes --allow-unsafe --strip-extras --no-header \
	  --no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links -o constraints.txt pyproject.toml

clean: ## Remove what was made here
	rm -rf .venv .venv-spark tests/browser/node_modules out dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
