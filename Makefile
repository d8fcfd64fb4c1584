# The tour: `make help` lists it from the text after each `##`.

XDG_CACHE_HOME ?= $(HOME)/.cache
# Outside the clone, so that a fresh clone on the same machine need not compile the dependencies again.
export CARGO_TARGET_DIR ?= $(XDG_CACHE_HOME)/kennel/target
# Cargo takes the programs of another clone for this one's if they are newer than the sources here, so the clone that
# comes after another makes its sources new.
$(shell mkdir -p '$(CARGO_TARGET_DIR)' && cd '$(CARGO_TARGET_DIR)' && \
    if [ "$$(cat clone 2>&1)" != '$(CURDIR)' ]; then \
        git -C '$(CURDIR)' ls-files -z | (cd '$(CURDIR)' && xargs -0 touch -c --) && echo '$(CURDIR)' >clone; fi)

TARGET  := $(CARGO_TARGET_DIR)/x86_64-unknown-linux-gnu
RELEASE := $(TARGET)/release
GUEST   := kennel-init kennel-proxy kennel-control kennel-unpack kennel-dhcp kennel-audit kennel-imds kennel-acme kennel-tpm kennel-php kennel-villain
SHIPPED := $(addprefix -p ,kennel $(GUEST))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo deps build image ami run stop test fmt lint unit fuzz vm proof amitest bench clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nStart with `make demo`. The `kennel` command is then in\n  %s\n' '$(RELEASE)'

demo: deps build ## Everything once: build, boot, a tenant, a deploy, its page
	@scripts/demo.sh '$(RELEASE)'

deps: ## Install what Debian must provide (asks for sudo if need be)
	@scripts/deps.sh

build: ## Compile `kennel` and the host's programs
	cargo build --release --locked $(SHIPPED)

image: build ## Build the disk image into out/
	@scripts/image.sh '$(RELEASE)'

ami: ## Compile `kennel-ami`, which publishes to EC2 (a build of its own: the SDK takes ten minutes)
	cargo build --release --locked --manifest-path ami/Cargo.toml

run: ## Boot the image here in QEMU; Ctrl-C shuts it down
	@'$(RELEASE)/kennel' run

stop: ## Shut down what `make demo` left running
	@'$(RELEASE)/kennel' stop

test: deps fmt lint unit fuzz image vm amitest ## Everything CI checks

fmt: ## Check the formatting
	cargo fmt --all --check
	cargo fmt --manifest-path ami/Cargo.toml --check

lint: ## Check the code with clippy
	cargo clippy --locked --workspace --all-targets -- -D warnings

unit: ## Tests that need no machine (with cargo's own runner: two of them are programs without its harness)
	cargo test --locked --workspace

fuzz: ## The fuzzer, 10 seconds for each parser (`scripts/fuzz.sh 600` for longer)
	@scripts/fuzz.sh 10

vm: image ## Scenarios in the booted image, every forbidden act among them
	KENNEL_GUEST_DIR='$(RELEASE)' cargo test --locked -p kennel-builder --test image -- --ignored
	cargo build --release --locked -p kennel-tests -p kennel-villain -p kennel-init-proof
	@tests/image.sh '$(RELEASE)'
	@scripts/image.sh '$(RELEASE)' kennel.toml out/proof --proof
	'$(RELEASE)/kennel-tests' $(SCENARIOS)

proof: image ## The part of `make vm` that tries every forbidden act behind both layers, each alone, and neither
	cargo build --release --locked -p kennel-tests -p kennel-villain -p kennel-init-proof
	@tests/image.sh '$(RELEASE)'
	@scripts/image.sh '$(RELEASE)' kennel.toml out/proof --proof
	'$(RELEASE)/kennel-tests' proof:

amitest: image ## Clippy and tests of `kennel-ami`, before an AWS of our own, whose hosts boot in QEMU too, and before moto
	cargo clippy --locked --manifest-path ami/Cargo.toml --all-targets -- -D warnings
	cargo test --locked --manifest-path ami/Cargo.toml
	KENNEL_TEST_PROGRAM='$(RELEASE)/kennel' cargo test --locked --manifest-path ami/Cargo.toml --test real -- --ignored
	ami/tests/moto.sh

bench: image ## Make the figures of docs/benchmarks.md
	@scripts/deps.sh bench
	benches/proxy.sh
	benches/https.sh
	benches/spawn.sh
	benches/debian-image.sh out/debian.raw
	benches/boot.sh "$$(ls -t out/kennel-*.raw | head -n1)" out/debian.raw

clean: ## Remove what was built; caches of packages stay
	cargo clean
	rm -rf out
