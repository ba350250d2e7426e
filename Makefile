# barostat. Targets: all check demo bench install uninstall clean help (make help explains).
#
# Sources are found by folder: a file belongs to the binary of its folder. Headers of both
# compilers are tracked exactly (-MMD -MP), so the two halves of a shared struct cannot drift.

CC	      ?= gcc
CLANG	      ?= clang
BPFTOOL	      ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/bin/bpftool /usr/local/sbin/bpftool) bpftool)
LLVM_STRIP    ?= llvm-strip
PKG_CONFIG    ?= pkg-config
OBJCOPY	      ?= objcopy
BUILD	      ?= build
PREFIX	      ?= /usr/local
DESTDIR	      ?=
BINDIR	      ?= $(PREFIX)/bin
SBINDIR	      ?= $(PREFIX)/sbin
LIBDIR	      ?= $(PREFIX)/lib
INCLUDEDIR    ?= $(PREFIX)/include
MANDIR	      ?= $(PREFIX)/share/man
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
UNITDIR	      ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR    ?= /etc
CFLAGS	      ?= -O2 -g
LDFLAGS	      ?=
BPF	      ?= 1
ARENA	      ?= 1
SAN	      ?=
WERROR	      ?= 1
V	      ?= 0

# One name for one place: dependency files know it by what it was called when they were written.
override BUILD := $(patsubst $(CURDIR)/%,%,$(abspath $(BUILD)))

VERSION	 := $(shell cat VERSION)
ABI	 := $(firstword $(subst ., ,$(VERSION)))

comma	 := ,
Q	 := $(if $(filter 1,$(V)),,@)
say	  = @$(if $(filter 1,$(V)),:,printf '  %-7s %s\n' '$(1)' '$(2)')

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wundef -Wvla -Wwrite-strings -Wno-unused-parameter $(if $(filter 1,$(WERROR)),-Werror)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
# gcc cannot see atomic fences under the thread sanitizer and says so; clang can.
ifneq ($(findstring thread,$(SAN)),)
CC	 := clang
endif
# a sum over the declarations of what the law is called with: traces know it again
LAW_ABI	 := $(shell scripts/law-abi)
cppflags := -D_GNU_SOURCE -DBAROSTAT_VERSION='"$(VERSION)"' -DBAROSTAT_LAW_ABI=$(LAW_ABI) -I. -Iinclude -I$(BUILD) $(CPPFLAGS)
cflags	 := -std=gnu11 $(WARN) -fno-strict-aliasing -fvisibility=hidden $(SANFLAGS) $(CFLAGS)
ldflags	 := $(SANFLAGS) $(LDFLAGS)
deps	  = -MMD -MP -MF $(@:.o=.d)

# ---- sources, by who runs them ------------------------------------------------------------------
bpf_src	   := $(wildcard bpf/*.bpf.c)
common_src := $(wildcard user/common/*.c)
cgroup_src := $(wildcard cgroup/*.c)
lib_src	   := $(wildcard user/lib/*.c)
# libbarostat-arena, a library of its own: it has a jemalloc inside (ARENA=0 builds the rest without)
arena_src  := $(if $(filter 1,$(ARENA)),$(wildcard user/arena/*.c))
cli_src	   := $(wildcard user/cli/*.c)
# a host in miniature for the control law, behind `barostat simulate` and the scenario tests
sim_src	   := $(wildcard user/sim/*.c)
daemon_src := $(wildcard user/daemon/*.c)
# sensors_bpf*.c load the kernel side; sensors_none.c stands in for them in a build without BPF.
ifeq ($(BPF),1)
daemon_src := $(filter-out user/daemon/sensors_none.c,$(daemon_src))
libbpf	   := -lbpf -lelf
else
daemon_src := $(filter-out user/daemon/sensors_bpf%.c,$(daemon_src))
bpf_src	   :=
libbpf	   :=
endif

obj	  = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
picobj	  = $(patsubst %.c,$(BUILD)/pic/%.o,$(1))
common_o := $(call obj,$(common_src))
cgroup_o := $(call obj,$(cgroup_src))
cli_o	 := $(call obj,$(cli_src))
sim_o	 := $(call obj,$(sim_src))
daemon_o := $(call obj,$(daemon_src))
lib_o	 := $(call picobj,$(lib_src))
arena_o	 := $(call picobj,$(arena_src))
skels	 := $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/%.skel.h,$(bpf_src))
# tests and tools of the arenas are linked with them, the others are not
not_arena = $(if $(filter 1,$(ARENA)),$(1),$(filter-out %/test_arena.c %/test_arena_faults.c %/arena.c,$(1)))
unit_src := $(call not_arena,$(wildcard tests/unit/test_*.c))
unit_bin := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(unit_src))
load_src := $(wildcard tests/load/*.c)
load_bin := $(patsubst tests/load/%.c,$(BUILD)/tests/load/%,$(load_src))
tools_src := $(call not_arena,$(wildcard tests/tools/*.c))
tools_bin := $(patsubst tests/tools/%.c,$(BUILD)/tests/tools/%,$(tools_src))
example_src := $(wildcard examples/*.c)
example_bin := $(patsubst examples/%.c,$(BUILD)/examples/%,$(example_src))
bench_src := $(wildcard bench/*.c)
bench_bin := $(patsubst bench/%.c,$(BUILD)/bench/%,$(bench_src))
bench_load := $(BUILD)/bench/law/load
bench_ingest := $(BUILD)/bench/ingest/ingest
bench_mixed := $(BUILD)/bench/mixed/mixed
# everything of the daemon and the CLI but their main(), for unit tests and benches
internal := $(BUILD)/libinternal.a
internal_o := $(common_o) $(cgroup_o) $(filter-out %/main.o,$(daemon_o) $(cli_o)) $(sim_o)

lib_libs    := -ljansson
daemon_libs := $(libbpf) -lcgroup -linih -ljansson -lz -lpthread
cli_libs    := -linih -ljansson -lncursesw -ltinfo -lz -lm

shlib	 := libbarostat.so.$(VERSION)
soname	 := libbarostat.so.$(ABI)
map	 := packaging/libbarostat.map
arena_shlib  := libbarostat-arena.so.$(VERSION)
arena_soname := libbarostat-arena.so.$(ABI)
arena_map    := packaging/libbarostat-arena.map
arena_all    := $(if $(arena_src),$(BUILD)/libbarostat-arena.so $(BUILD)/libbarostat-arena.a)
jemalloc     := $(shell $(CC) -print-file-name=libjemalloc_pic.a)
api_man	     := $(BUILD)/man3/made
arena_libs   := -lnuma -lpthread -lm -ldl

.PHONY: all fuzz fuzz-programs check check-fast check-unit check-cli check-root check-vm check-san check-tree demo bench bench-lib bench-law \
	install uninstall clean help format format-check tidy tests unit-tests bootstrap
.SECONDARY:
.DELETE_ON_ERROR:

all: $(BUILD)/barostatd $(BUILD)/barostat $(BUILD)/libbarostat.so $(BUILD)/libbarostat.a $(arena_all) | $(api_man)
	@$(if $(filter 1,$(BPF)),,echo "skipped: bpf/ (BPF=0): the daemon will run on the files rung";) \
	$(if $(filter 1,$(ARENA)),,echo "skipped: user/arena/ (ARENA=0): there is no libbarostat-arena";) \
	echo "built $^"

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | \
		awk -F'\t' '{printf "  %-12s %s\n", $$1, $$2}'
	@echo "Variables: SAN=address,undefined | SAN=thread, BPF=0, ARENA=0, V=1, PREFIX=, DESTDIR=, BUILD=, DEMO_SECONDS="

all: ## everything in build/
check: ## all four rings of tests (root for the last two)
demo: ## real engines, live limits, a table and a plot (root)
bench: ## every benchmark: tables and JSON in build/bench
install: ## under PREFIX, below DESTDIR
clean: ## remove build/

bootstrap: ## install the Debian packages that are missing
	scripts/bootstrap

# ---- kernel side ---------------------------------------------------------------------------------
$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$<)
	$(Q)$(CLANG) -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Wno-unused-parameter $(if $(filter 1,$(WERROR)),-Werror) \
		-D__TARGET_ARCH_x86 -I. -MMD -MP -MF $(@:.o=.d) -MT $@ -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst -,_,$*)_bpf > $@.tmp && mv $@.tmp $@

# ---- user side -----------------------------------------------------------------------------------
$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(cppflags) $(cflags) $(deps) -c $< -o $@

$(BUILD)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$< (pic))
	$(Q)$(CC) $(cppflags) $(cflags) -fPIC $(deps) -c $< -o $@

$(filter $(BUILD)/obj/user/daemon/sensors_bpf%.o,$(daemon_o)): | $(skels)

$(internal): $(internal_o) $(lib_o)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/barostatd: $(BUILD)/obj/user/daemon/main.o $(internal)
	$(call say,LD,$@)
	$(Q)$(CC) $(ldflags) -o $@ $^ $(daemon_libs)

$(BUILD)/barostat: $(BUILD)/obj/user/cli/main.o $(internal)
	$(call say,LD,$@)
	$(Q)$(CC) $(ldflags) -o $@ $^ $(cli_libs)

$(BUILD)/libbarostat.a: $(lib_o)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# nodelete: the kernel may still look at the last restartable sequence of a thread, which is in it
$(BUILD)/$(shlib): $(lib_o) $(map)
	$(call say,LD,$@)
	$(Q)grep -q 'BAROSTAT_$(ABI)\.' $(map) || { echo "$(map): no node for version $(VERSION)" >&2; exit 1; }
	$(Q)$(CC) $(ldflags) -shared -Wl,-soname,$(soname) -Wl,--version-script,$(map) -Wl,-z,defs -Wl,-z,nodelete \
		-o $@ $(lib_o) $(lib_libs) $(if $(SAN),,-Wl,--no-undefined)

$(BUILD)/libbarostat.so: $(BUILD)/$(shlib)
	$(Q)ln -sf $(shlib) $(BUILD)/$(soname)
	$(Q)ln -sf $(shlib) $@

# Everything of the arenas and of the jemalloc they need becomes one object, of which nothing can be
# seen but baro_*: else whoever linked it would have another malloc() than before.
$(BUILD)/arena/whole.o: $(arena_o) $(jemalloc)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LD) -r -o $@.tmp $(arena_o) $(jemalloc)
	$(Q)$(OBJCOPY) --wildcard --keep-global-symbol='baro_*' $@.tmp $@ && rm $@.tmp

$(BUILD)/libbarostat-arena.a: $(BUILD)/arena/whole.o
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/$(arena_shlib): $(BUILD)/arena/whole.o $(arena_map) $(BUILD)/libbarostat.so
	$(call say,LD,$@)
	$(Q)grep -q 'BAROSTAT_ARENA_$(ABI)\.' $(arena_map) || { echo "$(arena_map): no node for version $(VERSION)" >&2; exit 1; }
	$(Q)$(CC) $(ldflags) -shared -Wl,-soname,$(arena_soname) -Wl,--version-script,$(arena_map) -Wl,-z,defs -o $@ \
		$(BUILD)/arena/whole.o -L$(BUILD) -lbarostat $(arena_libs) $(if $(SAN),,-Wl,--no-undefined)

$(BUILD)/libbarostat-arena.so: $(BUILD)/$(arena_shlib)
	$(Q)ln -sf $(arena_shlib) $(BUILD)/$(arena_soname)
	$(Q)ln -sf $(arena_shlib) $@

# ---- tests ---------------------------------------------------------------------------------------
# Of these every allocation and system call of the library fails once: tests/unit/fault_support.h.
# Without getrlimit, which the sanitizers call before anything of ours can run.
faults := malloc calloc aligned_alloc reallocarray strdup strndup fsync rename mkostemp fdopen fflush fstat \
	fstatat scandirat open openat fstatfs fallocate mmap madvise sync_file_range \
	fopen getline __getdelim read pread stat fcntl socket connect getsockopt recv recvmsg poll syscall nanosleep ioctl
$(BUILD)/tests/test_%_faults: wrap = $(addprefix -Wl$(comma)--wrap=,$(faults))
$(BUILD)/tests/%: tests/unit/%.c $(internal)
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(cppflags) $(cflags) -MMD -MP -MF $@.d $(ldflags) -o $@ $< $(internal) \
		$(wrap) -lcmocka $(daemon_libs) $(cli_libs)

# with the arenas, which the others are built without
$(BUILD)/tests/test_arena: tests/unit/test_arena.c $(BUILD)/libbarostat-arena.a $(internal)
$(BUILD)/tests/tools/arena: tests/tools/arena.c $(BUILD)/libbarostat-arena.a $(internal)
$(BUILD)/tests/test_arena $(BUILD)/tests/tools/arena:
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(cppflags) $(cflags) -MMD -MP -MF $@.d $(ldflags) -o $@ $< $(BUILD)/libbarostat-arena.a $(internal) \
		-lcmocka $(daemon_libs) $(cli_libs) $(arena_libs)

# small programs that put a known load on a cgroup; the sensors' independent truth
$(BUILD)/tests/load/%: tests/load/%.c
	@mkdir -p $(@D)
	$(call say,LOAD,$<)
	$(Q)$(CC) $(cppflags) $(cflags) -MMD -MP -MF $@.d $(ldflags) -o $@ $< -lpthread

# programs that put internal functions at a shell's disposal, for the tests in bats
$(BUILD)/tests/tools/%: tests/tools/%.c $(internal)
	@mkdir -p $(@D)
	$(call say,TOOL,$<)
	$(Q)$(CC) $(cppflags) $(cflags) -MMD -MP -MF $@.d $(ldflags) -o $@ $< $(internal) $(daemon_libs) $(tool_libs)

$(BUILD)/tests/tools/ingest: tool_libs := -lrocksdb

$(BUILD)/bench/%: bench/%.c $(internal)
	@mkdir -p $(@D)
	$(call say,BENCH,$<)
	$(Q)$(CC) $(cppflags) $(cflags) -MMD -MP -MF $@.d $(ldflags) -o $@ $< $(internal) \
		$(daemon_libs) $(cli_libs)

# engines and their work, for the benches of the law
$(bench_load): $(call obj,$(wildcard bench/law/*.c))
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ldflags) -o $@ $^ -lrocksdb -lsqlite3 -lpq

# a bulk load beside readers, for what admission makes of it
$(bench_ingest): $(call obj,$(wildcard bench/ingest/*.c)) $(BUILD)/libbarostat.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ldflags) -o $@ $^ -lrocksdb -lpthread

# three engines under one ceiling, each on the library
$(bench_mixed): $(call obj,$(wildcard bench/mixed/*.c)) $(BUILD)/libbarostat.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ldflags) -o $@ $^ -lrocksdb -lsqlite3 $(lib_libs) -lpthread

# Any bytes as input (clang's libFuzzer, the address and undefined sanitizers).
FUZZ_SECONDS ?= 60
fuzz_san     := -fno-sanitize-recover=all -fsanitize=address,undefined
fuzz_bin     := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz_obj      = $(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(1))
# files of the library, but those that put an object among the metrics
fuzz_lib      = $(filter-out %_metrics.c,$(wildcard user/lib/$(1)*.c))
$(BUILD)/fuzz/fuzz_config: $(call fuzz_obj,$(wildcard user/daemon/config*.c) user/common/ini_lines.c \
	user/common/units.c user/common/suggest.c)
$(BUILD)/fuzz/fuzz_scenario: $(call fuzz_obj,$(addprefix user/sim/,scenario.c keys.c values.c) user/daemon/law_names.c \
	$(addprefix user/common/,ini_lines.c io.c units.c suggest.c))
$(BUILD)/fuzz/fuzz_page: $(call fuzz_obj,$(call fuzz_lib,page))
$(BUILD)/fuzz/fuzz_cgroup: $(call fuzz_obj,cgroup/parse.c)
$(BUILD)/fuzz/fuzz_demand: $(call fuzz_obj,user/daemon/demand.c user/daemon/demand_metrics.c $(wildcard user/lib/*.c))
$(BUILD)/fuzz/fuzz_env: $(call fuzz_obj,$(call fuzz_lib,pool))
$(BUILD)/fuzz/fuzz_manifest: $(call fuzz_obj,$(call fuzz_lib,registry) user/lib/percpu.c)
$(BUILD)/fuzz/fuzz_trace: $(call fuzz_obj,user/daemon/trace.c user/cli/replay.c user/cli/replay_compare.c \
	$(wildcard user/daemon/law_*.c user/daemon/estimate.c user/daemon/policy*.c))
$(BUILD)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$< (fuzz))
	$(Q)$(CLANG) $(cppflags) -std=gnu11 -O1 -g $(fuzz_san),fuzzer-no-link $(deps) -c $< -o $@

$(BUILD)/fuzz/%: $(BUILD)/fuzz/obj/tests/fuzz/%.o
	$(call say,FUZZ,$@)
	$(Q)$(CLANG) $(fuzz_san),fuzzer -o $@ $^ -linih -ljansson -lm

fuzz-programs: $(fuzz_bin)

fuzz: $(fuzz_bin) ## any bytes as input, FUZZ_SECONDS= for each program (clang)
	@for f in $(fuzz_bin); do \
		n=$${f##*/fuzz_}; log=$$f.log; mkdir -p $(BUILD)/fuzz/$$n.corpus; \
		echo "$$f, $(FUZZ_SECONDS) s, log $$log"; \
		$$f -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -artifact_prefix=$(BUILD)/fuzz/ \
			-print_final_stats=1 $(BUILD)/fuzz/$$n.corpus tests/fuzz/$$n.corpus 2>$$log || \
			{ tail -40 $$log; exit 1; }; \
		grep stat:: $$log; \
	done

# as an engine's author would compile them
$(BUILD)/examples/%: examples/%.c $(BUILD)/libbarostat.a
	@mkdir -p $(@D)
	$(call say,EXAMPLE,$<)
	$(Q)$(CC) -std=c99 -pedantic -D_DEFAULT_SOURCE -Iinclude $(WARN) $(SANFLAGS) $(CFLAGS) -MMD -MP -MF $@.d \
		$(ldflags) -o $@ $< $(BUILD)/libbarostat.a $(lib_libs)

tests: $(unit_bin) $(load_bin) $(tools_bin) $(example_bin) $(bench_load) $(bench_ingest) $(bench_mixed) $(BUILD)/bench/targets all
unit-tests: $(unit_bin) $(tools_bin)

check check-fast check-unit check-cli check-root check-vm check-san check-tree:
	+scripts/check $(patsubst check-%,%,$(patsubst check,everything,$@))

demo:
	+scripts/demo

bench:
	+scripts/bench

bench-lib: ## what the library's calls cost, beside the algorithms they came from
	+scripts/bench lib_budget lib_admission lib_tables ingest

bench-law: ## the law on this kernel, beside its peers: real engines, three quarters of an hour (root)
	+scripts/bench law

bench-programs: $(bench_bin) $(bench_load) $(bench_ingest) $(bench_mixed) $(load_bin)

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

format-check:
	clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')

tidy: all
	scripts/tidy

# The manual of the library: its headers, read as pages.
$(api_man): scripts/api-man $(wildcard include/barostat/*.h) docs/man/barostat.1
	$(Q)rm -rf $(@D)
	$(call say,MAN,$(@D))
	$(Q)scripts/api-man $(@D) "$$(sed -n 's/^\.Dd //p' docs/man/barostat.1)" $(filter %.h,$^)
	$(Q)touch $@

# ---- install -------------------------------------------------------------------------------------
install: all
	+scripts/install '$(DESTDIR)' '$(BUILD)' '$(VERSION)' BINDIR='$(BINDIR)' SBINDIR='$(SBINDIR)' LIBDIR='$(LIBDIR)' \
		INCLUDEDIR='$(INCLUDEDIR)' MANDIR='$(MANDIR)' COMPLETIONDIR='$(COMPLETIONDIR)' \
		UNITDIR='$(UNITDIR)' SYSCONFDIR='$(SYSCONFDIR)' PREFIX='$(PREFIX)'

uninstall: $(api_man) ## what install put there
	+scripts/install --remove '$(DESTDIR)' '$(BUILD)' '$(VERSION)' BINDIR='$(BINDIR)' SBINDIR='$(SBINDIR)' LIBDIR='$(LIBDIR)' \
		INCLUDEDIR='$(INCLUDEDIR)' MANDIR='$(MANDIR)' COMPLETIONDIR='$(COMPLETIONDIR)' \
		UNITDIR='$(UNITDIR)' SYSCONFDIR='$(SYSCONFDIR)' PREFIX='$(PREFIX)'

clean:
	rm -rf build

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
