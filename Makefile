# Everything is installed into .tools and .venv, which git ignores. It needs Python 3.11 or newer, pip, git and make.
PYTHON ?= python3
UV := .tools/bin/uv
SYNCED := .venv/.synced

# What is generated has lines of at most 100 columns, and no function over a cognitive complexity of 10.
# A project's own files are formatted as its pyproject.toml says, so that an owner's `make check` passes.
PROJECT := "{{cookiecutter.project_slug}}"
NARROW := hooks $(PROJECT)/src/flask_secure
WIDE := --exclude hooks,"*/src/flask_secure" .
OURS := hooks $(PROJECT)
MEASURED := hooks $(PROJECT)/src

export PATH := $(CURDIR)/.tools/bin:$(PATH)
export PYTHONPYCACHEPREFIX := $(CURDIR)/.tools/pycache
# The tests start Python hundreds of times: what it compiles is kept, in the folder above.
unexport PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV

.PHONY: demo test test-long test-all check fix benchmark picture clean

demo: $(SYNCED)
	@.venv/bin/python tests/demo.py

test: $(SYNCED)
	@rm -rf "$(PYTHONPYCACHEPREFIX)"  # it would grow with each run's temporary folders
	.venv/bin/pytest --numprocesses=2 --dist=loadgroup -m "not long" $(ARGS)

# What takes minutes.
test-long: $(SYNCED)
	.venv/bin/pytest --numprocesses=2 --dist=loadgroup -m long $(ARGS)

# All of it; and other extensions, and the test suites of others, from the package index.
test-all: test test-long
	.venv/bin/pytest --numprocesses=2 --dist=loadgroup tests/others $(ARGS)

check: $(SYNCED)
	.venv/bin/ruff check --config pyproject.toml
	.venv/bin/ruff check --config pyproject.toml --select E501 --line-length 100 $(OURS)
	.venv/bin/ruff format --config pyproject.toml --check $(WIDE)
	.venv/bin/ruff format --config pyproject.toml --check --line-length 100 $(NARROW)
	.venv/bin/complexipy --quiet --max-complexity-allowed 10 $(MEASURED)

fix: $(SYNCED)
	.venv/bin/ruff format --config pyproject.toml $(WIDE)
	.venv/bin/ruff format --config pyproject.toml --line-length 100 $(NARROW)
	.venv/bin/ruff check --config pyproject.toml --fix
	.venv/bin/ruff format --config pyproject.toml --quiet $(WIDE)
	.venv/bin/ruff format --config pyproject.toml --quiet --line-length 100 $(NARROW)

benchmark: $(SYNCED)
	cd benchmarks && for each in generation startup first_page sessions defences rotation sign_ins; do ../.venv/bin/python $$each.py || bad=1; done; exit $${bad:-0}

# The README's pictures, from the browser test.
picture: $(SYNCED)
	README_PICTURES=$(CURDIR)/docs .venv/bin/pytest tests/test_browser.py tests/test_accounts.py -k "every_panel or walk"

clean:
	rm -rf .tools .venv .demo

$(SYNCED): pyproject.toml $(UV)
	$(UV) sync --quiet --python $(PYTHON)
	@touch $@

$(UV):
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .tools "uv==0.13.*"
