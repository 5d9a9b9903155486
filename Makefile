# The two commands a newcomer needs: `make demo` and `make test`. Everything else is for people who change the code.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LOCK := requirements.lock
LOCK_TEST := requirements-test.lock
LOCK_SEMANTIC := requirements-semantic.lock
VENV_SEMANTIC ?= .venv-semantic


.PHONY: demo test conformance prometheus evals retrieval test-semantic demo-snapshot bench lint lock clean

demo: $(VENV)/.installed
	$(BIN)/firstmate demo

test: $(VENV)/.installed-test lint conformance prometheus
	$(BIN)/python -m pytest -q

# The MCP conformance suite and the Inspector, pinned by digest, into this user's cache: 20 s once. Without a network the
# tests that need them are skipped, and say so.
conformance: $(VENV)/.installed-test
	-$(BIN)/python -m tests.conformance.install

# A real Prometheus for the tests that ask one: Debian's package, unpacked into this user's cache, where there is apt.
# Without it these tests are skipped, and say so.
prometheus: $(VENV)/.installed-test
	-$(BIN)/python -m tests.prometheus_install

evals: $(VENV)/.installed-test
	$(BIN)/python -m evals.lab run --floors evals/floors.toml --check-snapshot --check-invariance --check-runbooks
	$(BIN)/python -m evals.retrieval run --encoder none --floors

# Search of the runbooks by words, scored on our questions; `test-semantic` has the same by meaning.
retrieval: $(VENV)/.installed-test
	$(BIN)/python -m evals.retrieval run --encoder none --floors

# The extra `semantic`, installed for real into an environment of its own.
test-semantic: $(VENV_SEMANTIC)/.installed-semantic
	FIRSTMATE_REQUIRE_SEMANTIC=1 $(VENV_SEMANTIC)/bin/python -m pytest -q tests/semantic
	$(VENV_SEMANTIC)/bin/python -m evals.retrieval run --encoder onnx --floors

# Records the demo anew from its scenario in the lab. The file ships in the wheel.
demo-snapshot: $(VENV)/.installed-test
	$(BIN)/python -m evals.lab record evals/demo server/firstmate/data/demo.tar.gz

bench: $(VENV)/.installed-test
	$(BIN)/python -m evals.bench

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright
	$(BIN)/firstmate runbooks lint

# Modules compile when they are first imported: most of the Kubernetes client never is, and installing takes half as long.
# pip refuses hashes beside a local project, so the project itself comes in a second step.
$(VENV)/.installed: $(LOCK) pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-compile --require-hashes -r $(LOCK)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed $(LOCK_TEST)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-compile --require-hashes -r $(LOCK_TEST)
	touch $@

$(VENV_SEMANTIC)/.installed-semantic: $(LOCK_SEMANTIC) pyproject.toml
	test -x $(VENV_SEMANTIC)/bin/python || $(PYTHON) -m venv $(VENV_SEMANTIC)
	$(VENV_SEMANTIC)/bin/python -m pip install -q --disable-pip-version-check --no-compile --require-hashes -r $(LOCK_SEMANTIC)
	$(VENV_SEMANTIC)/bin/python -m pip install -q --disable-pip-version-check --no-deps -e .
	touch $@

# Versions and hashes, no addresses. Needs `uv`, which only this target uses.
lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o $(LOCK) pyproject.toml
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra test -o $(LOCK_TEST) pyproject.toml
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra semantic --extra semantic-test -o $(LOCK_SEMANTIC) pyproject.toml

clean:
	rm -rf $(VENV) dist build
