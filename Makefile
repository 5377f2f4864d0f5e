# `make help` lists the targets. Each sets up .venv by itself from requirements.lock.

PYTHON  ?= python3
PROFILE ?= demo
CORES   ?= 2
BIN     := .venv/bin
RUN     := PATH="$(CURDIR)/$(BIN):$$PATH"

.DEFAULT_GOAL := help
.PHONY: help report test lint bench lab lock wheel audit readme clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 10

report: $(BIN)/.ready  ## execute the notebooks and render reports/$(PROFILE)/index.html (PROFILE=demo|cpu|gpu)
	$(RUN) snakemake --cores $(CORES) --config profile=$(PROFILE) --quiet rules
	@echo "reports/$(PROFILE)/index.html"

test: $(BIN)/.ready  ## run the tests, the demo report among them
	$(RUN) python -m pytest

lint: $(BIN)/.ready  ## check style, layers and notebooks
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) lint-imports
	$(RUN) nbstripout --verify notebooks/*.ipynb

bench: $(BIN)/.ready  ## measure speed as ratios to named peers: reports/$(PROFILE)/benchmarks.html
	$(RUN) python benchmarks/collect.py --profile $(PROFILE)

lab: $(BIN)/.ready  ## open the notebooks in JupyterLab
	$(RUN) jupyter lab notebooks

lock: $(BIN)/.ready  ## resolve the dependencies anew into requirements.lock and environment.yml
	$(BIN)/uv pip compile pyproject.toml --group dev --group slurm --universal --python-version 3.11 --quiet --upgrade \
	  --generate-hashes --custom-compile-command "make lock" -o requirements.lock
	$(BIN)/python tests/environment.py > environment.yml

wheel: $(BIN)/.ready  ## build the wheel into dist/, notebooks and parameters in it
	$(BIN)/uv build --quiet --wheel --out-dir dist

audit: $(BIN)/.ready  ## list known vulnerabilities of the pins (asks pypi.org)
	$(BIN)/uv tool run pip-audit --strict --requirement requirements.lock --require-hashes --disable-pip --progress-spinner off

readme: $(BIN)/.ready  ## write README's result table anew from the manifests of reports/cpu and reports/gpu
	$(RUN) python tests/readme.py

clean:  ## remove what was built (not .venv, not the data)
	rm -rf runs reports/demo .snakemake .pytest_cache .ruff_cache .hypothesis dist

# uv where it can be had, else pip; both check every hash.
$(BIN)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; then \
	  echo "installing with uv"; \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .; \
	else \
	  echo "installing with pip (uv could not be had)"; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .; \
	fi
	touch $@
