PYTHON ?= python3
.DEFAULT_GOAL := help
.PHONY: help demo test resilience fuzz bench lint docs lock

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: ## install, start everything, say what to open (AUTO=1 plays the tour and ends)
	@$(PYTHON) -m moica_demo $(if $(AUTO),--auto)

test: .venv/.installed-dev ## all tests
	.venv/bin/python -m pytest

resilience: .venv/.installed-dev ## kill the gateway at every step and at KILLS=50 random instants
	RESILIENCE_KILLS=$(or $(KILLS),50) .venv/bin/python -m pytest tests/resilience

fuzz: .venv/.installed-dev ## hostile input for every parser (INPUTS=100000 each, SEED=1)
	.venv/bin/python -m fuzz --inputs $(or $(INPUTS),100000) --seed $(or $(SEED),1)

bench: .venv/.installed-dev ## what things cost, in CPU time and as a ratio (ROUNDS=15; Linux)
	.venv/bin/python -m benchmarks.simulator --rounds $(or $(ROUNDS),15)
	.venv/bin/python -m benchmarks.simulator --soak 20000 --modes fast
	.venv/bin/python -m benchmarks.gateway --rounds 3 --count 300 --people 150

lint: .venv/.installed-dev ## ruff, mypy --strict, import-linter
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

docs: .venv/.installed-dev ## the documentation as pages, in docs/_build
	.venv/bin/python docs/errors_page.py
	.venv/bin/python -m sphinx -W --keep-going -q docs docs/_build

.venv/.installed-dev: requirements/dev.txt pyproject.toml simulator/pyproject.toml integrations/document_system/pyproject.toml
	@$(PYTHON) -m moica_demo --install-only dev

lock: ## make the locks anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate requirements/demo.in -o requirements/demo.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate requirements/dev.in -o requirements/dev.txt
