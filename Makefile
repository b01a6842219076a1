# Everything is installed into .tools and .venv, which git ignores. It needs Python 3.11 or newer, pip, git and make.
PYTHON ?= python3
UV := .tools/bin/uv
SYNCED := .venv/.synced

export PATH := $(CURDIR)/.tools/bin:$(PATH)
export PYTHONPYCACHEPREFIX := $(CURDIR)/.tools/pycache
unexport VIRTUAL_ENV

.PHONY: demo test check fix benchmark picture clean

demo: $(SYNCED)
	@.venv/bin/python tests/demo.py

test: $(SYNCED)
	.venv/bin/pytest --numprocesses=2 --dist=loadgroup $(ARGS)

check: $(SYNCED)
	.venv/bin/ruff check --config pyproject.toml
	.venv/bin/ruff format --config pyproject.toml --check

fix: $(SYNCED)
	.venv/bin/ruff format --config pyproject.toml
	.venv/bin/ruff check --config pyproject.toml --fix
	.venv/bin/ruff format --config pyproject.toml --quiet

benchmark: $(SYNCED)
	cd benchmarks && for each in generation startup first_page sessions defences rotation; do ../.venv/bin/python $$each.py || bad=1; done; exit $${bad:-0}

# The README's pictures, from the browser test.
picture: $(SYNCED)
	README_PICTURES=$(CURDIR)/docs .venv/bin/pytest tests/test_browser.py tests/test_accounts.py -k "every_panel or walk"

clean:
	rm -rf .tools .venv .demo

$(SYNCED): pyproject.toml $(UV)
	$(UV) sync --quiet --python $(PYTHON)
	@touch $@

$(UV):
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .tools uv
