# make            build build/drctl and build/backupd
# make deps       install what building and testing need (apt, without questions; lists it first)
# make test       every test: unit, sweeps, golden files, end to end, demo, README
# make check      layers, format, lint, man page, gcc and clang with -Werror, sanitizers
# make demo       lose a region, get the data back: under a minute, on loopback
# make bench      measure drctl beside restic, borg, tar, cp: hours (tests/bench/README.md)
# make bench-quick   the same with small data sets, indicative: two minutes
# make bench-s3   measure on real S3 servers of this machine
# make install    PREFIX=/usr/local DESTDIR=
# make deb        Debian packages, in build/deb; make deb-check looks at them
# make pictures   what a person sees of the reports' pages, as PNG files in build/pictures: needs chromium
# make format     clang-format in place
# make clean      remove build/
# make help       this text
# MODE=release|debug|asan|tsan picks the objects' folder; CC, CPPFLAGS, CFLAGS, LDFLAGS are yours;
# V=1 shows commands.

MODE    ?= release
CC      ?= cc
PREFIX  ?= /usr/local
O       ?= build/$(MODE)

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
        -Wformat=2 -Wundef -Wvla -Wwrite-strings -Wpointer-arith -Wcast-qual -Wnull-dereference

OPT_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong
OPT_debug   := -O1 -g
# Lines in a backtrace are enough of debugging there: a fifth of what the compiler does.
OPT_asan    := -O1 -g1 -fno-omit-frame-pointer
OPT_tsan    := -O1 -g1
# What only tests compiles in half the time so; in the other modes it is compiled as what it tests.
TEST_release := -O1 -g1
SAN_asan    := -fsanitize=address,undefined -fno-sanitize-recover=all
SAN_tsan    := -fsanitize=thread
PIE_release := -fPIE
LINK_release := -pie -Wl,-z,relro,-z,now

CFLAGS  ?= $(OPT_$(MODE))
LDFLAGS ?= $(LINK_release)
# A hundred test programs with all of the library in each: gold links them in a third of the time.
LINK_TEST := $(if $(shell command -v ld.gold),-fuse-ld=gold)
ALL_C   := -std=gnu17 -D_GNU_SOURCE -I. -pthread $(WARN) $(WERROR) -fPIE $(SAN_$(MODE)) \
           $(CPPFLAGS) $(CFLAGS)
LIBS    := -lyaml -lzstd -lcrypto -lxxhash -ljansson -luv -lcurl -lexpat -lresolv -lacl -lmicrohttpd -lsqlite3

LIB_SRC  := $(sort $(wildcard dr/*/*.c backup/*/*.c plugins/*.c))
SUPPORT  := $(sort $(wildcard tests/support/*.c))
UNIT_SRC := $(sort $(wildcard tests/test_*.c))
UNITS    := $(UNIT_SRC:tests/%.c=$(O)/%)
THREADED := $(patsubst tests/%.c,$(O)/%,$(shell grep -l 'Runs under TSan' $(UNIT_SRC) 2>/dev/null))
SCRIPTS  := $(sort $(wildcard tests/*.sh))
SOURCES  := $(sort $(wildcard dr/*.[ch] dr/*/*.[ch] backup/*/*.[ch] plugins/*.[ch] plugins/*/*.[ch] tests/*.[ch] \
              tests/*/*.[ch]))
SHELLS   := $(sort $(wildcard tests/*.sh tests/*/*.sh backup/*/*.sh) .ci/run)
MANS     := $(wildcard *.[1-8])
DEPS     := bash tests/tools/deps.sh

obj = $(patsubst %.c,$(O)/%.o,$(1))

ifneq ($(V),1)
Q := @
say = @printf '  %-5s %s\n'
else
say = @true
endif

# A program for itself, under the GPL as libs3 is: only where libs3 is there (plugins/store-s3v2/).
S3V2 := $(if $(wildcard /usr/include/libs3.h),build/drctl-store-s3v2)

all: build/drctl build/backupd $(S3V2)

build/drctl: $(O)/drctl
	$(Q)cp -f $< $@.new && mv -f $@.new $@

build/backupd: build/drctl
	$(Q)ln -sfn drctl $@

# Two files that change when what they say does: the compiler with its flags (then all is compiled
# anew), and the list of sources (then no object of a source that is gone stays in the library).
quoted = '$(subst ','\'',$(1))'
keep   = @mkdir -p $(@D) && { printf '%s\n' $(1) | cmp -s - $@ || printf '%s\n' $(1) >$@; }

$(O)/flags: FORCE
	$(call keep,$(call quoted,$(CC) $(ALL_C)))

$(O)/libdr.list: FORCE
	$(call keep,$(LIB_SRC))

$(O)/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(ALL_C) $(if $(filter tests/%,$<),$(TEST_$(MODE))) -MMD -MP -c $< -o $@

$(O)/libdr.a: $(call obj,$(LIB_SRC)) $(O)/libdr.list
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

$(O)/drctl: $(call obj,dr/main.c) $(O)/libdr.a
	$(say) LINK $@
	$(Q)$(CC) $(ALL_C) $^ $(LDFLAGS) $(LIBS) -o $@

$(O)/drctl-store-s3v2: $(call obj,plugins/store-s3v2/store_s3v2.c) $(O)/libdr.a
	$(say) LINK $@
	$(Q)$(CC) $(ALL_C) $^ $(LDFLAGS) -ls3 -ljansson -o $@

build/drctl-store-s3v2: $(O)/drctl-store-s3v2
	$(Q)cp -f $< $@.new && mv -f $@.new $@

$(O)/test_%: $(O)/tests/test_%.o $(call obj,$(SUPPORT)) $(O)/libdr.a
	$(say) LINK $@
	$(Q)$(CC) $(ALL_C) $^ $(LINK_TEST) $(LDFLAGS) $(LIBS) -larchive -lcmocka -o $@

# Real S3 regions for shell tests and the demo.
$(O)/testserver: $(call obj,tests/tools/testserver.c $(SUPPORT)) $(O)/libdr.a
	$(say) LINK $@
	$(Q)$(CC) $(ALL_C) $^ $(LINK_TEST) $(LDFLAGS) $(LIBS) -larchive -lcmocka -o $@

# The benchmark's own programs: the maker of its data, and the meter.
BENCH := $(O)/bench_gen $(O)/bench_meter

$(O)/bench_gen: $(call obj,$(addprefix tests/bench/,gen.c big.c text.c out.c))
$(O)/bench_meter: $(call obj,tests/bench/meter.c)
$(BENCH):
	$(say) LINK $@
	$(Q)$(CC) $(ALL_C) $^ $(LDFLAGS) -o $@

units: $(UNITS) $(BENCH) $(O)/testserver

# -- for people --------------------------------------------------------------------------------

deps:
	@$(DEPS) build demo test check

test:
	@$(DEPS) build demo test
	@$(MAKE) --no-print-directory all units
	@DRCTL=$(CURDIR)/build/drctl OBJECTS=$(CURDIR)/$(O) bash tests/tools/run.sh $(UNITS) $(SCRIPTS)

# STORE=s3: the buckets are real S3 servers, one a region.
demo:
	@$(DEPS) build demo $(if $(filter s3,$(STORE)),test)
	@$(MAKE) --no-print-directory all $(if $(filter s3,$(STORE)),$(O)/testserver)
	@DRCTL=$(CURDIR)/build/drctl OBJECTS=$(CURDIR)/$(O) bash tests/demo/run.sh

bench bench-quick:
	@$(DEPS) build bench
	@$(MAKE) --no-print-directory all $(BENCH)
	@python3 -B tests/bench/bench.py --drctl build/drctl --gen $(O)/bench_gen --meter $(O)/bench_meter \
	    $(if $(filter bench-quick,$@),--quick) --result build/bench/$@.json

# Beside real S3 servers on this machine.
bench-s3:
	@$(DEPS) build bench test
	@$(MAKE) --no-print-directory all $(BENCH) $(O)/testserver
	@python3 -B tests/bench/s3.py --drctl build/drctl --gen $(O)/bench_gen --meter $(O)/bench_meter \
	    --testserver $(O)/testserver --result build/bench/$@.json

# Where shells look for completions; Debian's zsh looks elsewhere.
BASH_DIR ?= $(PREFIX)/share/bash-completion/completions
ZSH_DIR  ?= $(PREFIX)/share/zsh/site-functions
FISH_DIR ?= $(PREFIX)/share/fish/vendor_completions.d
UNIT_DIR ?= $(PREFIX)/lib/systemd/system
DOCS     := README.md LICENSE $(wildcard SECURITY.md CHANGELOG.md COMING-FROM.md SIZING.md) backup/FORMAT.md \
            dr/journal/JOURNAL.md conf/dr.yaml backup/store/EXEC.md backup/store/exec-example.sh \
            dr/notify/NOTIFY.md conf/drctl-alerts.yaml
into      = $(DESTDIR)$(PREFIX)/$(1)

install: all
	install -d $(call into,bin) $(call into,share/drctl/runbooks) $(call into,share/doc/drctl) \
	    $(addprefix $(DESTDIR),$(BASH_DIR) $(ZSH_DIR) $(FISH_DIR) $(UNIT_DIR))
	install -m 755 build/drctl $(call into,bin/drctl)
	ln -sfn drctl $(call into,bin/backupd)
	$(if $(S3V2),install -d $(call into,lib/drctl))
	$(if $(S3V2),install -m 755 $(S3V2) $(call into,lib/drctl/))
	for page in $(MANS); do \
	    install -D -m 644 $$page $(call into,share/man)/man$${page##*.}/$$page || exit 1; done
	for unit in backupd drctl-serve; do \
	    sed 's|^ExecStart=/usr/bin/|ExecStart=$(PREFIX)/bin/|' conf/$$unit.service \
	        >$(DESTDIR)$(UNIT_DIR)/$$unit.service || exit 1; done
	install -m 644 runbooks/*.yaml runbooks/README.md $(call into,share/drctl/runbooks/)
	install -m 644 conf/clauses.json conf/report.schema.json $(call into,share/drctl/)
	install -m 644 $(DOCS) $(call into,share/doc/drctl/)
	build/drctl completion bash >$(DESTDIR)$(BASH_DIR)/drctl
	build/drctl completion zsh >$(DESTDIR)$(ZSH_DIR)/_drctl
	build/drctl completion fish >$(DESTDIR)$(FISH_DIR)/drctl.fish

# From a copy of this folder, so that nothing of the packages' own build lies around here.
deb:
	@$(DEPS) build test deb
	@rm -rf build/deb && mkdir -p build/deb/drctl
	@tar -c --exclude=./build --exclude=./.git . | tar -x -C build/deb/drctl
	@cd build/deb/drctl && dpkg-buildpackage -b -us -uc -j2 >../build.log 2>&1 || { cat ../build.log; exit 1; }
	@rm -rf build/deb/drctl
	@ls build/deb/*.deb

deb-check:
	@bash tests/tools/package.sh build/deb

# Of the golden pages, or of PAGES="a.html b.html". To be looked at: CI has no browser.
pictures:
	@bash tests/tools/pictures.sh build/pictures $(or $(PAGES),$(wildcard tests/golden/html/*.html))

format:
	@clang-format -i --style=file $(SOURCES)

help:
	@sed -n 's/^# //p;/^$$/q' Makefile

clean:
	rm -rf build

# -- what CI asks ------------------------------------------------------------------------------

layers:
	@awk -f tests/tools/layers.awk dr/ARCHITECTURE.md $(SOURCES)

format-check:
	@printf '%s\n' $(SOURCES) | xargs -P 2 -n 100 clang-format --dry-run -Werror --style=file

headers:
	@printf '%s\n' $(filter %.h,$(SOURCES)) | CC='$(CC)' xargs -P 2 -n 16 bash tests/tools/headers.sh

# What clang thinks of all sources, without building them: gcc is the one that builds.
syntax:
	@printf '%s\n' $(filter %.c,$(SOURCES)) | FLAGS='$(ALL_C)' xargs -P 2 -n 12 bash tests/tools/syntax.sh

tidy:
	@ls -S $(LIB_SRC) dr/main.c | xargs -P 2 -n 1 bash tests/tools/tidy.sh

shells:
	@printf '%s\n' $(SHELLS) | xargs -P 2 -n 8 shellcheck -x

mans:
	@mandoc -T lint -W warning $(MANS)

check:
	@$(DEPS) build demo test check deb
	@bash tests/tools/check.sh $(MAKE)

# Run a set of unit tests built in this MODE.
unit: $(UNITS)
	@OBJECTS=$(CURDIR)/$(O) bash tests/tools/run.sh $(UNITS)

threaded: $(THREADED) $(O)/testserver

unit-threaded: $(THREADED)
	@OBJECTS=$(CURDIR)/$(O) bash tests/tools/run.sh $(THREADED)

.PHONY: all units deps test demo bench bench-quick bench-s3 install deb deb-check pictures format help clean layers format-check \
        headers syntax tidy threaded shells mans check unit unit-threaded FORCE
.SECONDARY:
-include $(shell find $(O) -name '*.d' 2>/dev/null)
