# `make run` and `make check` need nothing but a Debian-like system; `make`, `make install` and `make installcheck` are
# the usual targets of a PostgreSQL extension and need the packages that test/packages.sh lists.

EXTENSION = realtime
MODULE_big = realtime
DATA = $(wildcard sql/realtime--*.sql)
SOURCES = $(sort $(wildcard src/*.cpp src/core/*.cpp src/net/*.cpp src/pg/*.cpp src/worker/*.cpp))
OBJS = $(SOURCES:.cpp=.o)

WARNINGS = -Wall -Wextra -Werror
PG_CPPFLAGS = -Isrc
# The server's headers are C: as system headers they do not have to satisfy our warnings (`register`, unused parameters).
# `make check-asan` sets SANITIZERS, in a copy of the tree.
PG_CXXFLAGS = -std=c++20 $(WARNINGS) $(SANITIZERS) -isystem $(includedir_server) -isystem $(includedir) \
	-fvisibility=hidden -fvisibility-inlines-hidden -MMD -MP
# PGXS links with the C compiler, which does not know the C++ runtime.
SHLIB_LINK = $(SANITIZERS) -lstdc++ -lwebsockets -luv -lssl -lcrypto -lpq -lpthread

# pg_regress takes test/sql from its input directory and expected/ from here.
REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test
EXTRA_CLEAN = build $(OBJS:.o=.d)

# PGXS would compile bitcode with clang and without PG_CXXFLAGS, which cannot work for C++20.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))

.PHONY: run check unit fuzz fuzz-build fuzz-policies net-test harness bench e2e check-asan check-long soak architecture install-docs uninstall-docs
ifneq ($(filter check,$(MAKECMDGOALS)),)
# PGXS has a target `check` of its own, which only says that it is not supported.
check: $(filter-out check,$(MAKECMDGOALS))
	@bash test/check.sh
$(filter-out check,$(MAKECMDGOALS)):
	@$(MAKE) $@
else
ifneq ($(PGXS),)
include $(PGXS)
# In folders as here, which PGXS's DOCS would flatten: so the links between the pages lead somewhere.
DOC_DIR = $(DESTDIR)$(docdir)/extension/realtime
install: install-docs
install-docs:
	@$(MKDIR_P) '$(DOC_DIR)/docs'
	$(INSTALL_DATA) README.md CHANGELOG.md LICENSE '$(DOC_DIR)/'
	$(INSTALL_DATA) $(wildcard docs/*.md) '$(DOC_DIR)/docs/'
uninstall: uninstall-docs
uninstall-docs:
	rm -rf '$(DOC_DIR)'
else
all install installcheck:
	@echo "PostgreSQL's server headers are missing: $$(bash test/packages.sh list)" >&2; exit 1
endif
-include $(OBJS:.o=.d)

run:
	@bash test/run.sh
architecture:
	@bash test/architecture.sh
e2e:
	@bash test/check.sh e2e
check-asan:
	@bash test/asan.sh $(FILES)
bench:
	@bash test/bench/run.sh
check-long:
	@CLIENT_TESTS='long/*.test.js' bash test/check.sh build e2e
soak:
	@bash test/soak.sh $(or $(SECONDS),1800)
fuzz-policies:
	@bash test/fuzz_policies.sh $(or $(N),100000) $(SEED)

# ---- tests without a server: core under ASan and UBSan, net under TSan, parsers under libFuzzer -----------------------

TEST_FLAGS = -std=c++20 -O1 -g $(WARNINGS) -Isrc -Itest
UNIT_SANITIZERS = -fsanitize=address,undefined -fno-sanitize-recover=all
NET_SANITIZERS = -fsanitize=thread
FUZZ_SANITIZERS = -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_CXX ?= clang++
FUZZ_SECONDS ?= $(or $(SECONDS),5)

CORE = $(patsubst src/%.cpp,%.o,$(wildcard src/core/*.cpp))
NET = $(patsubst src/%.cpp,%.o,$(wildcard src/net/*.cpp))
# The registry is the one file of pg/ that knows no backend.
UNIT_OBJS = $(addprefix build/unit/,$(CORE) pg/registry.o $(patsubst %.cpp,%.o,$(wildcard test/unit/*.cpp)))
# test/net/harness.cpp is a program of its own: the network thread alone, to try clients against it by hand.
NET_OBJS = $(addprefix build/net/,$(CORE) $(NET) $(patsubst %.cpp,%.o,$(filter-out %/harness.cpp,$(wildcard test/net/*.cpp))))
HARNESS_OBJS = $(addprefix build/plain/,$(CORE) $(NET) $(patsubst %.cpp,%.o,$(filter-out %_test.cpp,$(wildcard test/net/*.cpp))))
FUZZ_CORE = $(addprefix build/fuzz/,$(CORE))
FUZZ_NETWORK = $(addprefix build/fuzz/,$(NET) test/net/client.o test/net/tls_session.o test/net/fake_database.o)
FUZZ_TARGETS = $(patsubst test/fuzz/%_fuzz.cpp,%,$(wildcard test/fuzz/*_fuzz.cpp))

unit: build/unit/run
	build/unit/run --gtest_brief=1
build/unit/run: $(UNIT_OBJS)
	$(CXX) $(UNIT_SANITIZERS) -o $@ $^ -lgtest -lgtest_main -lcrypto -lpthread

net-test: build/net/run
	build/net/run --gtest_brief=1
build/net/run: $(NET_OBJS)
	$(CXX) $(NET_SANITIZERS) -o $@ $^ -lgtest -lgtest_main -lwebsockets -luv -lssl -lcrypto -lpthread

harness: build/plain/harness
build/plain/harness: $(HARNESS_OBJS)
	$(CXX) -o $@ $^ -lgtest -lwebsockets -luv -lssl -lcrypto -lpthread

# Each target works on its corpus in test/fuzz/corpus/NAME; what it finds new goes to build/, not into the repository.
fuzz: $(FUZZ_TARGETS:%=fuzz-%)
fuzz-build: $(FUZZ_TARGETS:%=build/fuzz/run-%)
$(FUZZ_TARGETS:%=fuzz-%): fuzz-%: build/fuzz/run-%
	@mkdir -p build/fuzz/found/$* build/fuzz/crashes
	build/fuzz/run-$* -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -timeout=10 -print_final_stats=0 -verbosity=0 \
		-artifact_prefix=build/fuzz/crashes/$*- build/fuzz/found/$* $(wildcard test/fuzz/corpus/$*)
build/fuzz/run-%: build/fuzz/test/fuzz/%_fuzz.o $(FUZZ_CORE)
	$(FUZZ_CXX) $(FUZZ_SANITIZERS) -o $@ $^ -lcrypto
build/fuzz/run-network: build/fuzz/test/fuzz/network_fuzz.o $(FUZZ_CORE) $(FUZZ_NETWORK)
	$(FUZZ_CXX) $(FUZZ_SANITIZERS) -o $@ $^ -lwebsockets -luv -lssl -lcrypto -lpthread
.SECONDARY: $(FUZZ_TARGETS:%=build/fuzz/test/fuzz/%_fuzz.o) $(FUZZ_CORE) $(FUZZ_NETWORK)

define object_rules
build/$(1)/%.o: src/%.cpp
	@mkdir -p $$(@D)
	$(2) $(TEST_FLAGS) $(3) -MMD -MP -c -o $$@ $$<
build/$(1)/test/%.o: test/%.cpp
	@mkdir -p $$(@D)
	$(2) $(TEST_FLAGS) $(3) -MMD -MP -c -o $$@ $$<
endef
$(eval $(call object_rules,unit,$(CXX),$(UNIT_SANITIZERS)))
$(eval $(call object_rules,net,$(CXX),$(NET_SANITIZERS)))
$(eval $(call object_rules,plain,$(CXX),-O2))
$(eval $(call object_rules,fuzz,$(FUZZ_CXX),$(FUZZ_SANITIZERS)))
-include $(UNIT_OBJS:.o=.d) $(NET_OBJS:.o=.d) $(HARNESS_OBJS:.o=.d) $(FUZZ_CORE:.o=.d) $(FUZZ_NETWORK:.o=.d) \
	$(FUZZ_TARGETS:%=build/fuzz/test/fuzz/%_fuzz.d)
endif
