# `make` lists the targets. A target installs what it needs into .venv, from the locks under requirements/.
# Paths are relative and tools run as `python -m …`, so the path of the checkout may contain a space.

PY := .venv/bin/python
GAMESALES := .venv/bin/gamesales
PIP_INSTALL := $(PY) -m pip --disable-pip-version-check --no-input install -qq
# A lock is complete. Without --no-deps, an older pip does not find a pin for a requirement such as coverage[toml], and
# looks for a newer release without a hash in the lock.
PIP_LOCKED := $(PIP_INSTALL) --no-deps --require-hashes
UV := uv==0.13.9
AZURITE := azurite@3.35.0
AXE := axe-core@4.14.1

# One lock for every platform, with one version of each library for every Python, so that results are the same.
COMPILE = "$$tool/bin/python" -m uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

# Sets $python to a supported Python: $(PYTHON) if set, or else the first of the usual names.
define FIND_PYTHON
python=; seen=; \
for name in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11); do \
	is=$$("$$name" -c 'import platform; print(platform.python_version())' 2>/dev/null) || is="does not run"; \
	case "$$is" in 3.11.*|3.12.*|3.13.*) python=$$name; break;; esac; \
	seen="$$seen  found: $$name ($$is)\n"; \
done; \
if [ -z "$$python" ]; then \
	printf '%b' "gamesales needs Python 3.11, 3.12 or 3.13.\n$$seen" >&2; \
	echo "Install one of them, or name it: make install PYTHON=/path/to/python3.12" >&2; \
	exit 2; \
fi
endef

.PHONY: help
help:
	@awk -F ':.*## ' '/^##@ / {print substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile

##@ Use

.PHONY: install
install: .venv/package.stamp  ## Create .venv with gamesales and the training libraries (PYTHON=… selects the Python)

.PHONY: demo
demo: install  ## Train, promote, and score the new titles
	@echo "1/3  training on data/sales_data_training.csv"; \
	$(GAMESALES) train --reason "make demo" && \
	version=$$($(GAMESALES) versions --json | $(PY) -c 'import json, sys; print(json.load(sys.stdin)["versions"][0]["version"])') && \
	echo && echo "2/3  promoting version $$version" && \
	$(GAMESALES) promote "$$version" --reason "make demo" && \
	echo && echo "3/3  scoring data/new_titles.csv" && \
	$(GAMESALES) score data/new_titles.csv --output predictions/new_titles.csv && \
	$(PY) -c "$$SHOW_PREDICTIONS" predictions/new_titles.csv && \
	registry=$${GAMESALES_REGISTRY:-registry} && \
	for report in "$$registry"/game-earnings/bundles/*/report.html; do :; done && \
	echo && \
	echo "predictions   predictions/new_titles.csv" && \
	echo "report        $$report" && \
	echo "versions      $$registry/game-earnings: $(GAMESALES) versions"

define SHOW_PREDICTIONS
import csv, sys
print()
for row in csv.DictReader(open(sys.argv[1], encoding="utf-8", newline="")):
    print(f"  {row['title_id']:<8} {row['title']:<40.40} {float(row['predicted_earnings']):>12,.2f} dollars")
endef
export SHOW_PREDICTIONS

.PHONY: train
train: install  ## Train and register a version (jobs/train.toml)
	@$(GAMESALES) train

.PHONY: tune
tune: install  ## Search ten minutes for a small network and register it (jobs/tune.toml, MINUTES=30)
	@$(GAMESALES) tune $(if $(MINUTES),--minutes "$(MINUTES)")

.PHONY: promote
promote: version-is-given install  ## Promote a version: make promote VERSION=3
	@$(GAMESALES) promote "$(VERSION)" --reason "$(if $(REASON),$(REASON),make promote)"

.PHONY: version-is-given
version-is-given:
	@[ -n "$(VERSION)" ] || { echo "Which version? Type for example: make promote VERSION=3" >&2; exit 2; }

.PHONY: score
score: install  ## Score with the promoted version (jobs/score.toml, DATE=2026-11-23)
	@$(GAMESALES) score $(if $(DATE),--date "$(DATE)")

.PHONY: report
report: install  ## Write a site about all models, versions and runs, and name its first page (SITE=site)
	@$(GAMESALES) report --site "$(if $(SITE),$(SITE),site)"

.PHONY: wheel
wheel: .venv/train.stamp  ## Build dist/gamesales-….whl, for a scoring host without the checkout
	@$(PY) -m pip --disable-pip-version-check --no-input wheel -qq --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

##@ Work on it

.PHONY: check
check: .venv/dev.stamp  ## Check style, types and the import ladder
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(PY) -c 'from importlinter.cli import lint_imports_command as check; check()'

# The tests of a file share a worker, so that they share what their fixtures prepare.
PYTEST = $(PY) -m pytest --numprocesses auto --maxprocesses 4

# Tests write and sync many small files. `make test` does so in memory if 4 GB of /dev/shm are free, which takes no time;
# the other targets use the disk.
IN_MEMORY = $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 {print "PYTEST_DEBUG_TEMPROOT=/dev/shm"}')

.PHONY: test
test: .venv/dev.stamp servers  ## Run the tests
	$(IN_MEMORY) $(PYTEST) -m "not slow" --dist loadfile

.PHONY: coverage
coverage: .venv/dev.stamp servers  ## Run the tests and check their branch coverage
	$(PYTEST) -m "not slow" --dist loadfile --cov

.PHONY: test-full
test-full: .venv/dev.stamp servers  ## Run what `make test` leaves out: slow tests, and samples of long sweeps
	$(PYTEST) -m slow --dist load

.PHONY: test-exhaustive
test-exhaustive: .venv/dev.stamp servers  ## Run all tests with whole sweeps: every byte, every system call, every file
	GAMESALES_TESTS=exhaustive $(PYTEST) --dist load

# The object stores that tests start: moto for S3, azurite for Azure. Without npm, the tests of Azure are skipped. The
# tests of pages need Playwright, axe-core and the system's chromium.
.PHONY: servers
servers: tests/.servers/moto.stamp tests/.servers/$(AZURITE).stamp tests/.servers/pages.stamp tests/.servers/$(AXE).stamp

# The programs that read our results: DuckDB, Polars, fastparquet, pandas, Spark 4 and Spark 3.5. Without them, the tests
# of readers are skipped. Without Java, only those of Spark.
.PHONY: readers
readers: tests/.servers/readers.stamp tests/.servers/readers-spark3.stamp  ## Install programs that read our results, for test-full

# The engines whose examples docs/guides/engines.md has. Without them, the examples are not tested.
.PHONY: engines
engines: tests/.servers/engines.stamp  ## Install Spark, Ray, DuckDB, Polars and Daft, for test-full

# The programs that check jobs/nightly/: Airflow, and validators of Kubernetes, GitHub and container files. Without them,
# their tests are skipped.
.PHONY: schedulers
schedulers: tests/.servers/schedulers.stamp  ## Install programs that check the schedules, for test-full

# The reference for explanations, shap. Without it, its test is skipped.
.PHONY: explainers
explainers: tests/.servers/explainers.stamp  ## Install shap, which checks explanations, for test-full

.PHONY: bench
bench: .venv/package.stamp  ## Compare gamesales with other tools, in about 10 minutes
	$(PY) -m benchmarks quick

.PHONY: bench-full
bench-full: .venv/package.stamp  ## Compare with every tool on every file, in one to two hours
	$(PY) -m benchmarks full

.PHONY: docs
docs: .venv/package.stamp  ## Write docs/reference/ and the table of plain command lines from the code
	$(PY) docs/make_plain_table.py
	$(PY) docs/make_reference.py

.PHONY: notebook
notebook: .venv/package.stamp tests/.servers/notebook.stamp  ## Execute docs/notebook.ipynb and store its outputs
	$(PY) docs/make_notebook.py

.PHONY: lock
lock:  ## Resolve pyproject.toml into requirements/*.lock (UPGRADE=1: to the newest versions)
	@$(FIND_PYTHON); \
	tool=$$(mktemp -d) && trap 'rm -rf "$$tool"' EXIT && \
	"$$python" -m venv "$$tool" && \
	"$$tool/bin/python" -m pip --disable-pip-version-check --no-input install --quiet $(UV) && \
	$(COMPILE) pyproject.toml --extra train --extra cloud --extra lake --extra ray --extra lineage --extra sign --group dev --output-file requirements/dev.lock >/dev/null && \
	$(COMPILE) pyproject.toml --extra train --group build --constraints requirements/dev.lock --output-file requirements/train.lock >/dev/null && \
	$(COMPILE) pyproject.toml --group build --constraints requirements/dev.lock --output-file requirements/score.lock >/dev/null && \
	$(COMPILE) pyproject.toml --extra cloud --group build --constraints requirements/dev.lock --output-file requirements/cloud.lock >/dev/null && \
	$(COMPILE) --group notebook --constraints requirements/dev.lock --output-file requirements/notebook.lock >/dev/null && \
	for group in servers pages readers readers-spark3 engines schedulers explainers; do \
		$(COMPILE) --group "$$group" --output-file "requirements/$$group.lock" >/dev/null || exit; \
	done && \
	echo "the locks in requirements/ are up to date with pyproject.toml"

.PHONY: clean
clean:  ## Remove .venv, caches and build products; keep versions and predictions
	rm -rf .venv build dist *.egg-info .coverage .coverage.* coverage.xml htmlcov
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf benchmarks/.envs benchmarks/results tests/.servers
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "registry/ and predictions/ are kept"

# A stamp is touched last, so that an interrupted install is repeated. A changed lock rebuilds .venv.
.venv/train.stamp: requirements/train.lock
	@$(FIND_PYTHON); \
	echo "Installing into .venv with $$python ($$is): about 500 MB to fetch, usually one to three minutes"; \
	"$$python" -m venv --clear .venv
	@$(PIP_LOCKED) -r $<
	@touch $@

# pip refuses "-e ." among hashed requirements. The package is installed separately, with the locked back end.
.venv/package.stamp: .venv/train.stamp pyproject.toml
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@
	@echo "gamesales is installed: $(GAMESALES) --help"

# The environment of the server uses the Python of .venv.
tests/.servers/moto.stamp: requirements/servers.lock .venv/train.stamp
	@echo "Installing the S3 server of the tests into tests/.servers"
	@$(PY) -m venv --clear tests/.servers/moto
	@tests/.servers/moto/bin/python -m pip --disable-pip-version-check --no-input install -qq --no-deps --require-hashes -r $<
	@touch $@

tests/.servers/readers.stamp tests/.servers/readers-spark3.stamp tests/.servers/engines.stamp tests/.servers/schedulers.stamp tests/.servers/explainers.stamp: tests/.servers/%.stamp: requirements/%.lock .venv/train.stamp
	@echo "Installing the programs of $< into tests/.servers: about 500 MB, usually one to three minutes"
	@$(PY) -m venv --clear tests/.servers/$*
	@tests/.servers/$*/bin/python -m pip --disable-pip-version-check --no-input install -qq --no-deps --require-hashes -r $<
	@touch $@

# Folders of modules, which tests of pages and the notebook add to the end of their path.
tests/.servers/pages.stamp tests/.servers/notebook.stamp: tests/.servers/%.stamp: requirements/%.lock .venv/train.stamp
	@echo "Installing the modules of $< into tests/.servers: about 100 MB"
	@rm -rf tests/.servers/$*
	@$(PIP_LOCKED) --target tests/.servers/$* -r $<
	@touch $@

tests/.servers/$(AXE).stamp:
	@mkdir -p tests/.servers/axe
	@echo "Installing $(AXE) into tests/.servers: about 4 MB"
	@if npm install --prefix tests/.servers/axe --no-package-lock --ignore-scripts --no-audit --no-fund \
		--loglevel=error $(AXE); \
	then touch $@; else echo "npm could not install it: pages are not checked for accessibility"; fi

tests/.servers/$(AZURITE).stamp:
	@mkdir -p tests/.servers/azurite
	@echo "Installing $(AZURITE) into tests/.servers: about 190 MB, usually half a minute"
	@if npm install --prefix tests/.servers/azurite --no-package-lock --ignore-scripts --no-audit --no-fund \
		--loglevel=error $(AZURITE); \
	then touch $@; else echo "npm could not install it: the tests of Azure are skipped"; fi

.venv/dev.stamp: .venv/package.stamp requirements/dev.lock
	@echo "Installing the tools for tests and checks: usually half a minute"
	@$(PIP_LOCKED) -r requirements/dev.lock
	@touch $@
