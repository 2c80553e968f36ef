# The commands of this project. `make reproduce` runs the whole study, `make test` the checks of CI, `make test-all` every check.
.DEFAULT_GOAL := help
SHELL := /bin/bash
ifneq ($(findstring :,$(CURDIR)),)
$(error the folder $(CURDIR) has a colon in its name, which separates folders in PATH; rename it)
endif

# Values that a user may set. A recipe gets each as one quoted word, whatever its characters are.
PYTHON ?= python3
QUICK_DIR ?= quick
PORT ?= 5000
KILLS ?= 20
ROUNDS ?= 30
STUDIES ?= 10
SEED ?= 0
define LINE_BREAK


endef
QUOTED := PYTHON QUICK_DIR PORT KILLS ROUNDS STUDIES SEED
$(foreach name,$(QUOTED),$(if $(findstring $(LINE_BREAK),$(value $(name))),$(error $(name) must be one line without a line break)))
$(foreach name,$(QUOTED),$(eval override $(name) := '$$(subst ','\'',$$(value $(name)))'))
unexport $(QUOTED) CDPATH
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
unexport PYTHONDONTWRITEBYTECODE PYTHONSAFEPATH

READY := .venv/ready
PYTEST := python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
QUICK := -S data.limit=1000 -S settings.textbook.epochs=1 -S settings.steady.epochs=1 \
	-S train.seeds=2 -S train.runs.vanilla-textbook.seed_factor=1 -S train.runs.bidirectional-textbook.seed_factor=1 \
	-S '~train.runs.feedforward-textbook' -S '~train.runs.flattened-textbook' -S '~train.runs.lstm-textbook' -S '~train.runs.bidirectional-tuned' \
	-S '~train.runs.feedforward-steady' -S '~train.runs.lstm-steady' \
	-S '~train.runs.vanilla-pooled' -S '~train.runs.vanilla-shrunk' -S '~train.runs.vanilla-identity' -S '~train.runs.lstm-chrono' \
	-S 'remedies.runs=[vanilla-tuned]' \
	-S 'tune.architectures=[vanilla]' -S tune.trials=2 -S tune.startup_trials=2 -S tune.finalists=1 -S tune.race_seeds=2 -S tune.regret_seeds=2 \
	-S 'evaluate.comparisons=[[vanilla-textbook,bidirectional-textbook],[vanilla-textbook,vanilla-tuned]]' \
	-S 'gradients.architectures=[vanilla,bidirectional]' -S 'gradients.sequence_lengths=[100]' -S gradients.trained_up_to=2 -S gradients.seeds=2 \
	-S gradients.reviews=50 -S gradients.memory_reviews=20 -S gradients.probe_reviews=20 -S gradients.jacobian_reviews=4 \
	-S 'retention.signals.vanilla=[first]' -S '~retention.signals.bidirectional' -S '~retention.signals.lstm' \
	-S 'retention.lags=[5]' -S retention.seeds=2 -S retention.updates=100 \
	-S attractor.reviews=20 -S attractor.linearised_reviews=2
NOT_QUICK := (models/|train\.runs\.)(feedforward|flattened|lstm)-textbook
FULL := -S train.seeds=10 -S tune.trials=40 -S 'tune.architectures=[feedforward,vanilla,bidirectional,lstm]' \
	-S '+train.runs.feedforward-tuned={architecture: feedforward, settings: tuned, from: artifacts/tuned/feedforward.json}' \
	-S '+train.runs.lstm-tuned={architecture: lstm, settings: tuned, from: artifacts/tuned/lstm.json}' \
	-S '+train.runs.vanilla-maxpooled={architecture: vanilla, settings: maxpooled, from: params.yaml}' \
	-S 'remedies.runs=[vanilla-pooled,vanilla-maxpooled,vanilla-tuned,vanilla-shrunk,vanilla-identity,lstm-textbook,lstm-chrono]' \
	-S '+train.runs.vanilla-steady_200={architecture: vanilla, settings: steady_200, from: params.yaml}' \
	-S '+train.runs.vanilla-steady_400={architecture: vanilla, settings: steady_400, from: params.yaml}' \
	-S 'gradients.sequence_lengths=[10,25,50,100,200,400,800]' -S gradients.trained_up_to=800 -S gradients.seeds=10 -S gradients.spectra=true -S 'retention.lags=[5,10,20,50,100,200,400]' -S retention.seeds=10 -S retention.updates=2000

.PHONY: help
help: ## lists the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | column -t -s '|'

# A command of DVC. If it fails, or if Ctrl-C interrupts it, a line says how to continue.
define CONTINUED
trap : INT TERM; $(1) || { code=$$?; echo 'Not finished. $(2).' >&2; exit $$code; }
endef
reproduce quick full: export RNN_PLAN := .dvc/tmp/plan.json

NEED_DVC := reproduce quick full
.PHONY: repository
repository: # before an installation of minutes: can DVC work here?
	@$(PYTHON) -m pipeline.verify.repository

.PHONY: quick-folder
quick-folder: # before the installation, too: may `make quick` write into this folder?
	@bash .ci/copy $(QUICK_DIR) --check

CHECKS := $(if $(filter $(NEED_DVC),$(MAKECMDGOALS)),repository) $(if $(filter quick,$(MAKECMDGOALS)),quick-folder)
$(READY): requirements.lock | $(CHECKS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed"; exit 2; }
	@test ! -L .venv || { echo "error: .venv is a link, and a new environment would empty the folder behind it; remove the link"; exit 2; }
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --no-compile --require-hashes --requirement requirements.lock
	.venv/bin/python -m compileall -qq -j 0 -x /tests/ .venv/lib || true # on every core, while pip uses one; some files are templates that do not compile
	@touch $@

.PHONY: reproduce
reproduce: repository $(READY) ## the whole study: reviews to report (about 20 minutes on two cores), then MLflow
	@python -m pipeline plan
	@$(call CONTINUED,python -m dvc repro,`make reproduce` continues after the last finished unit)
	@python -m pipeline summary

.PHONY: quick
quick: repository quick-folder $(READY) ## a small study of the vanilla and the bidirectional RNN for a first look, in the folder quick/
	@bash .ci/copy $(QUICK_DIR) && \
	grep -vE '$(NOT_QUICK)' dvc.yaml > $(QUICK_DIR)/dvc.yaml && \
	export RNN_WORKERS="$${RNN_WORKERS:-1}" && unset MLFLOW_TRACKING_URI && \
	( cd $(QUICK_DIR) && python -m pipeline plan --times=benchmarks/quick.json $(QUICK) ) && \
	( cd $(QUICK_DIR) && $(call CONTINUED,RNN_TRACKING=off python -m dvc exp run --name quick $(QUICK),`make quick` begins again) && \
	  python -m pipeline track ) && \
	python -m pipeline summary --folder=$(QUICK_DIR) && \
	echo "This was a small study, and the committed results are unchanged. \`make reproduce\` computes the whole one."

.PHONY: full
full: repository $(READY) ## every length, every architecture tuned, also texts of 200 and 400 tokens, ten seeds or more: hours
	@python -m pipeline plan $(FULL)
	@$(call CONTINUED,python -m dvc exp run --name full $(FULL),`make full` continues after the last finished unit)
	@python -m pipeline summary

.PHONY: test
test: $(READY) check ## the checks that CI runs (at most 9 minutes on two cores)
	$(PYTEST) -m "not exhaustive"

.PHONY: test-all
test-all: $(READY) check ## every check, with the quick study alongside: before a commit of dvc.lock
	set -o pipefail; (bash .ci/quick 2>&1 | sed -u 's/^/quick study: /') & \
	$(PYTEST); tests=$$?; wait $$! && exit $$tests

.PHONY: test-fast
test-fast: $(READY) ## the tests that take seconds
	python -m pytest -m "not (slow or exhaustive)"

.PHONY: check
check: $(READY) ## format, lint and types (a minute)
	python -m ruff format --check .
	python -m ruff check .
	python -m basedpyright

.PHONY: types
types: $(READY) ## types alone
	python -m basedpyright

.PHONY: ui
ui: $(READY) ## MLflow's UI on loopback, with links that open on answers (PORT=... for another port than 5000)
	python -m pipeline ui --port=$(PORT)

.PHONY: benchmark
benchmark: $(READY) ## docs/performance.md: against other frameworks and the machine's limit (three quarters of an hour, nothing else running)
	python -m benchmarks

.PHONY: chaos
chaos: $(READY) ## docs/reliability.md: kills and faults injected into a small study (half an hour; a sixth with KILLS=3 per stage)
	python -m chaos --kills=$(KILLS) --seed=$(SEED)

.PHONY: soak
soak: $(READY) ## 10 random studies, then 30 rounds of one study with kills (STUDIES=... and ROUNDS=... for other numbers)
	python -m chaos.soak --studies=$(STUDIES) --rounds=$(ROUNDS) --seed=$(SEED)

.PHONY: dvc-page
dvc-page: $(READY) ## writes the page of `dvc plots` again, with its scripts: after an upgrade of Vega
	python -m pipeline.reporting.dvc_page

.PHONY: audit
audit: ## known vulnerabilities of the packages in requirements.lock (asks a service on the network; not part of `make test`)
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/python -m pip install --quiet pip-audit==2.10.1
	.venv/audit/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements.lock

.PHONY: lock
lock: ## resolves requirements.lock again from pyproject.toml, one version of each package for all Pythons (needs uv)
	uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--no-emit-find-links --group dev --extra cluster --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml
