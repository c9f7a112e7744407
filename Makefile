# `make demo` and `make test` set up everything they need below .build/ and leave nothing running.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BUILD := .build
PYTHON ?= python3
VENV := $(BUILD)/venv
BIN := $(VENV)/bin
COLLECTIONS := $(CURDIR)/$(BUILD)/collections
COLLECTION := $(COLLECTIONS)/ansible_collections/bonneville/vsphere
LAB := $(BUILD)/lab
LAB_SOURCES := $(shell find tests/lab -type f)
PYTEST = PYTHONPATH=$(COLLECTIONS) $(BIN)/python -m pytest
# File by file in two processes, each with a lab of its own; in their order, whose last files are the shortest.
SIDE_BY_SIDE = -n 2 --dist loadfile --no-loadscope-reorder

export PATH := $(CURDIR)/$(BIN):$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(COLLECTIONS)
export ANSIBLE_HOME := $(CURDIR)/$(BUILD)/ansible
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help setup setup-parts demo check docs picture molecule changelog release test unit scripted e2e lab-test lab chaos bench bench-full clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: setup $(if $(filter vm,$(GUEST)),setup-qemu) ## bring up the lab, build templates, run containers as VMs, remove them all (GUEST=docker|vm)
	@$(BIN)/python -m tests.demo --guests $(or $(GUEST),docker)

test: setup ## the quick gates and every test: pure, over real SOAP, end to end with real Docker guests
	@echo "== the quick gates; 'make check' has all of them"
	@$(BIN)/python -m tests.gates ruff mypy imports go
	@echo "== the collection: pure, over real SOAP, and a quick set of faults (make chaos has all); the documents' examples: make check"
	@echo "== and beside it the lab itself, go test, whose guests are waited for most of the time; what it says comes last"
	@(cd tests/lab && go=$$(../setup/go.sh) && $$go test ./...) >$(BUILD)/go-test.log 2>&1 & lab=$$!; failed=0; \
	$(PYTEST) $(SIDE_BY_SIDE) -m "not long" tests/unit tests/scripted || failed=1; \
	$(PYTEST) -n 2 -m quick tests/chaos || failed=1; \
	wait $$lab || failed=1; cat $(BUILD)/go-test.log; exit $$failed
	@echo "== end to end with real Docker guests"
	@$(PYTEST) $(SIDE_BY_SIDE) -m "not long" tests/e2e
	@echo "== NOT RUN here: tests/vm, on virtual machines, which take too long without KVM: make test-vm"
	@echo "== NOT RUN here: what is marked as long, templates on eight hosts and runs killed at many more moments: make chaos"

check: setup-python $(LAB) ## only the quality gates; name some by GATES="ruff sanity", or what CI has by GATES=ci
	@$(BIN)/python -m tests.gates $(GATES)

docs: setup-python ## the documents' tables from the code, and the docs site below .build/docs
	@$(BIN)/python -m tests.docs.generate
	@$(BIN)/python -m tests.docs.site

picture: setup ## run the demo and draw what its terminal showed: docs/img/demo.svg
	@$(BIN)/python -m tests.demo.record

molecule: setup ## the roles' Molecule scenarios, on a lab with real Docker guests
	@$(BIN)/molecule test --all

changelog: setup-python ## take the changelog's fragments into the release that galaxy.yml names
	@$(BIN)/python -m tests.gates.release changelog

release: setup-python ## build the artifact of a tagged release; checks that version, tag and changelog agree
	@$(BIN)/python -m tests.gates.release

unit: setup-python ## only the pure tests, in seconds
	@$(PYTEST) tests/unit

scripted: setup-python $(LAB) ## only the tests over real SOAP with scripted guests
	@$(PYTEST) $(SIDE_BY_SIDE) tests/scripted

test-vm: setup-python $(LAB) setup-qemu ## only the tests on virtual machines: minutes, and longer without KVM
	@$(PYTEST) -s --timeout 1800 tests/vm

e2e: setup ## only the end-to-end tests with real Docker guests
	@$(PYTEST) $(SIDE_BY_SIDE) -m "not long" tests/e2e

lab: setup $(if $(filter vm,$(GUESTS)),setup-qemu) ## start a vCenter lab in the foreground and print how to use it (GUESTS=docker|vm|scripted)
	@$(BIN)/python -m tests.support.playground --guests $(or $(GUESTS),docker)

# Nothing but time is shared by its cases, so each process takes what comes next.
chaos: setup ## strike every operation with every fault at many moments, and plans with thousands of inventories
	@$(PYTEST) -n 2 tests/chaos
	@$(PYTEST) $(SIDE_BY_SIDE) -m long tests/scripted
	@$(PYTEST) -m long tests/e2e
	@$(PYTEST) -n 2 --hypothesis-profile thorough $(wildcard tests/unit/plugins/module_utils/*/test_plan_properties.py)

bench: setup-bench ## measure this collection beside its peer and a bare script, in minutes
	@PYTHONPATH=$(COLLECTIONS) $(BIN)/python -m benchmarks

bench-full: setup-bench ## the same with the peer's long cells, into docs/benchmarks.*
	@PYTHONPATH=$(COLLECTIONS) $(BIN)/python -m benchmarks --full --docs

clean: ## remove everything that the other targets made
	@rm -rf $(BUILD)

# The three parts are independent: side by side they take as long as the slowest.
setup:
	@mkdir -p $(BUILD)
	@$(MAKE) -j3 setup-python $(LAB) setup-engine

.PHONY: setup-python setup-engine
setup-python: $(VENV)/.ready $(COLLECTION)

$(VENV)/.ready: tests/requirements.txt tests/setup/python.sh
	@tests/setup/python.sh $(PYTHON) $(VENV) tests/requirements.txt

$(COLLECTION):
	@mkdir -p $(dir $@)
	@ln -sfn $(CURDIR) $@

$(LAB): $(LAB_SOURCES) tests/setup/go.sh
	@tests/setup/lab.sh $(LAB)

setup-engine:
	@tests/setup/engine.sh

.PHONY: setup-qemu test-vm
setup-qemu:
	@tests/setup/qemu.sh

# The peer and the plot have environments of their own: neither is a part of this collection's.
.PHONY: setup-bench
setup-bench: setup-python $(LAB) $(BUILD)/bench/peer/.ready $(BUILD)/bench/plot/.ready

$(BUILD)/bench/%/.ready: benchmarks/%-requirements.txt tests/setup/python.sh
	@mkdir -p $(BUILD)/bench
	@tests/setup/python.sh $(PYTHON) $(BUILD)/bench/$* $<
