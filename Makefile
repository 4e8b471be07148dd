# Each TensorFlow has a virtual environment of its own: .venv-tf2 and .venv-tf1. So has Apache Beam, which needs older
# packages beside TensorFlow 2: .venv-beam.
PYTHON_tf2 := $(shell tools/find_python.sh 3.11 3.12 3.13 3.10)
PYTHON_tf1 := $(shell tools/find_python.sh 3.6)
STACKS := $(strip $(foreach stack,tf2 tf1,$(if $(PYTHON_$(stack)),$(stack))))
MISSING := $(filter-out $(STACKS),tf2 tf1)
NEEDED_tf2 := Python 3.10 to 3.13 with its venv module (apt-get install python3-venv)
NEEDED_tf1 := Python 3.6 (pyenv install 3.6.15)
PYTHON_beam := $(PYTHON_tf2)
NEEDED_beam := $(NEEDED_tf2)
PIP_beam := pip
PIP_tf2 := pip
PIP_tf1 := pip==21.3.1# the last for Python 3.6, whose own is too old

PYTHON := .venv-tf2/bin/python
QUICKSTART := experiments/quickstart

.NOTPARALLEL:
.PHONY: quickstart test test-tf2 test-beam test-tf1 test-asan test-gpu build-tf2 build-beam build-tf1 bench bench-gpu \
  lint clean

# Recognizes sample images with the pretrained model. Then renders words, trains a small model on them for some minutes,
# and recognizes words that were not in training.
quickstart: build-tf2
	$(PYTHON) -m aster.demo --input_image aster/pretrained/samples
	$(MAKE) --no-print-directory data/train.tfrecord data/test.tfrecord
	$(PYTHON) -m aster.train --exp_dir $(QUICKSTART)
	$(PYTHON) -m aster.eval --exp_dir $(QUICKSTART) --norepeat
	$(PYTHON) tools/extract_images.py data/test.tfrecord data/test_images 8
	$(PYTHON) -m aster.demo --exp_dir $(QUICKSTART) --input_image data/test_images \
	  --output_dir $(QUICKSTART)/log/demo
	@echo
	@echo "Done. Next, activate the environment and try:"
	@echo "  source .venv-tf2/bin/activate"
	@echo "  python -m aster.demo --input_image aster/pretrained/samples --output_dir pictures"
	@echo "  python -m aster.demo --serve"
	@echo "  python -m aster.eval --exp_dir $(QUICKSTART) --datasets data/test.tfrecord --report report"

data/train.tfrecord: | build-tf2
	$(PYTHON) tools/create_synthetic_tfrecord.py --output_path $@ --split train --num_images 50000 --difficulty 0.3

data/test.tfrecord: | build-tf2
	$(PYTHON) tools/create_synthetic_tfrecord.py --output_path $@ --split test --num_images 2000 --difficulty 0.3

# Every stack that this machine has a Python for; lint and Apache Beam with the first. All run, also where one fails.
test:
	@$(if $(STACKS),,echo "make test: install $(NEEDED_tf2) or $(NEEDED_tf1)"; exit 1)
	@status=0; \
	$(MAKE) --no-print-directory --keep-going $(if $(filter tf2,$(STACKS)),lint) \
	  $(patsubst test-tf2,test-tf2 test-beam,$(STACKS:%=test-%)) || status=1; \
	echo "Tested: $(STACKS)."; \
	$(foreach stack,$(MISSING),echo "NOT tested: $(stack), which needs $(NEEDED_$(stack)).";) \
	exit $$status

test-tf2 test-tf1: test-%: build-%
	.venv-$*/bin/python -m pytest -n 2

test-beam: build-beam
	.venv-beam/bin/python -m pytest -n 2 tests/beam

# The ops' tests, and 2,000 calls with wrong inputs, under AddressSanitizer and UBSan.
ASAN_STACK := $(firstword $(STACKS))
test-asan: build-$(ASAN_STACK)
	tests/stress/asan.sh .venv-$(ASAN_STACK)/bin/python

build-tf2 build-beam build-tf1: build-%: .venv-%/ready
	.venv-$*/bin/python setup.py -q build_ext --inplace

.venv-%/ready: requirements/%.txt
	@$(if $(PYTHON_$*),,echo "make: install $(NEEDED_$*)"; exit 1)
	@echo "Installing requirements/$*.txt into .venv-$*, which takes some minutes."
	rm -rf .venv-$*
	$(PYTHON_$*) -m venv .venv-$*
	.venv-$*/bin/python -m pip install -q --upgrade $(PIP_$*)
	.venv-$*/bin/python -m pip install -q -r $<
	touch $@

# Every claim of the README, in some minutes.
bench: build-tf2
	for case in "read 32" "read 1" "read 32 bf16" "train 32" "train 32 bf16" "input 32" "demo" "photos" "decoder 32"; do \
	  set -- $$case; $(PYTHON) benchmarks/$$1.py $$2 $$3 2>/dev/null || exit 1; \
	done | tee benchmarks/results.jsonl

# On a machine with a GPU: the kernels, the ops and the models there, and a short training.
test-gpu: build-tf2
	$(PYTHON) tests/cuda/run.py
	$(PYTHON) -m pytest -q -n 8 tests/c_ops tests/model tests/data/test_copied.py tests/training/test_golden_losses.py \
	  tests/training/test_exchange.py
	$(PYTHON) -m pytest -q -n 8 tests/training/test_loop.py -k "save_resume or mixed_precision"

# On a machine with a GPU, the figures of docs/gpu.md.
bench-gpu: build-tf2
	for case in "train 64 fp32" "train 64 bf16" "train 512 fp32" "train 512 bf16" "read 1 fp32" "read 256 fp32" "read 256 bf16"; do \
	  set -- $$case; $(PYTHON) benchmarks/$$1.py $$2 $$3 6 2>/dev/null || exit 1; \
	done
	$(PYTHON) benchmarks/train_records.py 512 bf16 6 2>/dev/null
	$(PYTHON) benchmarks/input.py 512 --workers 1 4 $$(nproc) 2>/dev/null

# Style, and the types of the library; mypy needs the classes that protoc builds.
lint: build-tf2
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

# Removes what was built; the environments, data/ and what was trained stay.
clean:
	rm -rf build *.egg-info .mypy_cache .pytest_cache .ruff_cache aster/c_ops/*.so aster/protos/*_pb2.py
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
