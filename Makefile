# What people and CI call. Everything else is plain cargo.
CARGO  ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
JANUA  := $(TARGET)/quick/janua

.PHONY: run demo release man test test-long pictures test-peers lint deny-advisories bench tools-build tools-test

run: tools-build ## build, make a sample lecture and a key once, print two links, start
	scripts/need.sh ffmpeg=ffmpeg
	$(CARGO) build --profile quick --locked
	JANUA=$(JANUA) scripts/sample.sh
	exec $(JANUA) run

demo: tools-build ## a gateway at work, with everything around it, on a page to click through
	$(CARGO) run --profile quick --locked -- demo

release: tools-build ## the binary for production, target/release/janua: whole-program optimisation takes some ten minutes
	JANUA_COMMIT="$$(git rev-parse --short HEAD 2>/dev/null)" $(CARGO) build --release --locked

man: tools-build ## manual pages, one for each command and gateway.toml(5), into target/man
	$(CARGO) run --profile quick --locked -- man $(TARGET)/man

test: tools-build tools-test ## unit, property, architecture and end-to-end tests
	PATH="$$PATH:/usr/sbin" $(CARGO) test --locked --lib --bins --tests

test-long: tools-build tools-test ## what takes longer than a change should wait for; prints its figures
	PATH="$$PATH:/usr/sbin" JANUA_LONG=1 $(CARGO) test --locked --test e2e -- --nocapture --test-threads=1 ::long_
	JANUA_LONG=1 $(CARGO) test --locked --lib -- --nocapture --test-threads=1 ::long_
	JANUA_LONG=1 $(CARGO) test --locked --test properties

pictures: tools-build tools-test ## a picture of each page that people see, in target/pictures, made by the browser's test
	JANUA_PICTURES=$(abspath $(TARGET))/pictures $(CARGO) test --locked --test e2e -- pages::read

# Where Java or Maven is missing, the tests say so and are skipped.
test-peers: tools-build ## sign-in at Keycloak 26 and Apereo CAS 7.2, which come from Maven: 320 MB, and a minute for each start
	-scripts/test-tools.sh $(TARGET)/test-tools keycloak
	-scripts/test-tools.sh $(TARGET)/test-tools cas7
	JANUA_PEERS=1 $(CARGO) test --locked --test e2e -- --nocapture --test-threads=1 peers::

lint: tools-build ## rustfmt, clippy with warnings denied, licences, bans and sources
	scripts/need.sh cargo-deny
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) deny --locked check bans licenses sources

deny-advisories: ## needs the advisory database, which cargo-deny fetches
	scripts/need.sh cargo-deny
	$(CARGO) deny --locked check advisories

bench: tools-build ## criterion for tokens and rules, then load on the whole beside its peers, latency, instructions; writes benches/RESULTS.md
	scripts/need.sh wrk=wrk nginx=nginx-light haproxy=haproxy taskset=util-linux h2load=nghttp2-client valgrind=valgrind
	$(CARGO) bench --locked --bench token --bench authorize
	PATH="$$PATH:/usr/sbin" $(CARGO) bench --locked --bench load -- --write

tools-build:
	scripts/need.sh cc=build-essential cmake=cmake

tools-test:
	scripts/need.sh curl=curl ffmpeg=ffmpeg nginx=nginx-light nghttpd=nghttp2-server nghttp=nghttp2-client chromium=chromium \
		redis-server=redis-server php-cgi=php-cgi npm=npm certutil=libnss3-tools promtool=prometheus
	scripts/test-tools.sh $(TARGET)/test-tools cas browser oidc
