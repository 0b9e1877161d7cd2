# Two commands set everything up on a bare Python ≥ 3.11: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
REAL_ECG = $$($(BIN)/python -c 'from pydicom.data import get_testdata_file as f; print(f("waveform_ecg.dcm", download=False))')
TARGETS := AF:rhythm=atrial_fibrillation,low_ef:lv_ef<=0.4
.PHONY: demo test test-slow test-all check benchmarks clean

.venv/made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cardioloom needs Python 3.11 or newer: make PYTHON=…")'
	$(PYTHON) -m venv .venv
	touch $@

.venv/all: .venv/made pyproject.toml constraints.txt
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable '.[all]'
	touch $@

.venv/dev: .venv/all
	$(BIN)/pip install --quiet --editable '.[all,dev]'
	touch $@

demo: .venv/all  ## read a real 12-lead ECG, examine the installation, simulate 200 patients, train and judge two small nets
	@mkdir -p demo
	$(BIN)/cardioloom read "$(REAL_ECG)" --json demo/report.json --html demo/report.html
	$(BIN)/cardioloom doctor
	rm -rf demo/cohort
	$(BIN)/cardioloom simulate demo/cohort --patients 200 --seed 1 --population hospital
	$(BIN)/cardioloom cohort check demo/cohort --html demo/cohort.html
	rm -rf demo/run demo/evaluation
	$(BIN)/cardioloom train ecgfounder demo/cohort demo/run --preset tiny --targets "$(TARGETS)"
	$(BIN)/cardioloom evaluate demo/run demo/cohort demo/evaluation --baselines age_sex
	rm -rf demo/ptacl demo/ptacl_evaluation demo/index.parquet
	$(BIN)/cardioloom train ptacl demo/cohort demo/ptacl --preset tiny
	$(BIN)/cardioloom evaluate demo/ptacl demo/cohort demo/ptacl_evaluation
	$(BIN)/cardioloom embed ptacl-phantom demo/cohort demo/index.parquet
	$(BIN)/cardioloom similar "$(REAL_ECG)" demo/index.parquet --model ptacl-phantom -k 5
	$(BIN)/cardioloom read "$(REAL_ECG)" --model ptacl-phantom --similar demo/index.parquet --html demo/report_with_model.html
	@echo "Open demo/report.html, demo/report_with_model.html, demo/cohort.html, demo/evaluation/report.html and"
	@echo "demo/ptacl_evaluation/report.html in a browser. The nets, and all but the ECG, are of simulated patients."

test: .venv/dev  ## the quick tests, on every core
	$(BIN)/pytest -n auto --dist loadgroup

test-slow: .venv/dev  ## the slow tests alone: wheels on the oldest and the newest Python, long recordings
	$(BIN)/pytest -n auto --dist loadgroup -m slow

test-all: test test-slow

check: .venv/dev  ## format, lint, types, one-way doors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto tests/architecture

benchmarks: .venv/dev  ## measure and rewrite docs/benchmarks.md (peers: pip install -r benchmarks/peers.txt)
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf .venv demo build dist
