# How every folder of weir says what it builds. A folder's CMakeLists.txt uses only these four:
#
#   weir_library(NAME SOURCES a.c b.c USES base queues [LIBRARIES uring])
#       A static library, target weir_NAME.
#   weir_executable(NAME SOURCES a.c USES stages [LIBRARIES m])
#       An executable, target NAME.
#   weir_test(NAME SOURCES a.c USES base [LABELS fast|slow|long] [TIMEOUT seconds]
#             [ARGUMENTS ...] [ENVIRONMENT A=b ...] [SERIAL] [LIBRARIES hiredis])
#       A cmocka test: executable test_NAME (in <build>/tests), ctest name NAME. A program that
#       exits with 77, or a cmocka test that calls skip(), is a skip.
#   weir_fuzz(NAME SOURCES a.c USES wire CORPUS directory [TIMEOUT seconds])
#       The source defines LLVMFuzzerTestOneInput. Preset "fuzz": a libFuzzer target, run for
#       WEIR_FUZZ_SECONDS under label long. Every preset: each file of the corpus is replayed
#       under label fast.
#
# USES names our own libraries without the prefix "weir_"; what they use is inherited.
# LIBRARIES names libraries of the system.
# A test that is a script is registered by weir_script_test(NAME COMMAND ... [as weir_test]).

include_guard(GLOBAL)

set(WEIR_SANITIZER "" CACHE STRING "empty, address (with undefined), or thread")
set_property(CACHE WEIR_SANITIZER PROPERTY STRINGS "" address thread)
option(WEIR_FUZZ "build the fuzz targets with libFuzzer (clang)" OFF)
option(WEIR_COVERAGE "record which lines run" OFF)
option(WEIR_SLOW_TESTS "build the tests that are not labelled fast, too, and what only they use" ON)
option(WEIR_ASSERT_HOT "keep the assertions of the per-command tier" ON)
set(WEIR_FUZZ_SECONDS 600 CACHE STRING "how long one fuzz target runs under label long")
set(WEIR_TIMEOUT_FACTOR 1 CACHE STRING "test time limits are multiplied by this")

# ---------------------------------------------------------------------------------------------
# Compile flags, once, for everything.

# The portable baseline of the architecture: no -march. A binary built here is copied to servers
# and into containers, where an instruction unknown to the CPU is a crash at a random moment.
# What gains from wider vectors is XXH3 alone, and for keys of some tens of bytes it gains nothing.
# Link-time optimization is off: what is hot across files is static inline in headers.
# NDEBUG is never set: our assertions stay on in release, cmocka's and the library's too.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
if(WEIR_SANITIZER)
    # What a stack in a finding shows, files and lines; the rest is a sixth of the time to compile.
    set(CMAKE_C_FLAGS_RELEASE "-O2 -g1")
endif()
set(CMAKE_C_FLAGS_DEBUG "-O0 -g3")

add_library(weir_flags INTERFACE)
target_include_directories(weir_flags INTERFACE ${PROJECT_SOURCE_DIR})
# Defined empty, so that a file which defines it again defines the same.
target_compile_definitions(weir_flags INTERFACE _GNU_SOURCE=)
target_compile_options(weir_flags INTERFACE
    -std=gnu17
    -Werror -Wall -Wextra -Wpedantic
    -Wshadow -Wconversion -Wdouble-promotion
    -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wmissing-declarations
    -Wvla -Wundef -Wpointer-arith -Wcast-align -Wcast-qual -Wwrite-strings
    -Wformat=2 -Wno-format-zero-length -Wimplicit-fallthrough
    -fno-common -fno-omit-frame-pointer
    # Assertions and logs name a file as the reader knows it, wherever it was built.
    -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_compile_options(weir_flags INTERFACE
        -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wtrampolines)
endif()
if(NOT WEIR_ASSERT_HOT)
    target_compile_definitions(weir_flags INTERFACE WEIR_ASSERT_HOT=0)
endif()

set(weir_instrumentation "")
if(WEIR_SANITIZER STREQUAL "address")
    list(APPEND weir_instrumentation -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(WEIR_SANITIZER STREQUAL "thread")
    list(APPEND weir_instrumentation -fsanitize=thread)
    # The thread sanitizer does not see the memory accesses of assembly; code that uses
    # Concurrency Kit's takes C11 atomics under this definition.
    target_compile_definitions(weir_flags INTERFACE WEIR_TSAN=1)
elseif(NOT WEIR_SANITIZER STREQUAL "")
    message(FATAL_ERROR "WEIR_SANITIZER is \"${WEIR_SANITIZER}\": use address, thread or nothing")
endif()
if(WEIR_COVERAGE)
    list(APPEND weir_instrumentation --coverage -fprofile-update=atomic)
endif()
if(WEIR_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "WEIR_FUZZ needs clang; use the preset: cmake --preset fuzz")
    endif()
    target_compile_options(weir_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
target_compile_options(weir_flags INTERFACE ${weir_instrumentation})
target_link_options(weir_flags INTERFACE ${weir_instrumentation})

# ---------------------------------------------------------------------------------------------
# Targets.

find_package(Threads REQUIRED)

function(weir_link target visibility uses libraries)
    target_link_libraries(${target} ${visibility} weir_flags Threads::Threads)
    foreach(name IN LISTS uses)
        target_link_libraries(${target} ${visibility} weir_${name})
        set_property(GLOBAL APPEND PROPERTY WEIR_USED "${target}:weir_${name}")
    endforeach()
    target_link_libraries(${target} ${visibility} ${libraries})
    # As given, for whoever builds it once more (cmake/mutants.cmake).
    set_target_properties(${target} PROPERTIES
        WEIR_USES "${uses}" WEIR_LIBRARIES "${libraries}")
endfunction()

function(weir_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;USES;LIBRARIES")
    weir_refuse_leftover(weir_library ${name} "${arg_UNPARSED_ARGUMENTS}")
    add_library(weir_${name} STATIC ${arg_SOURCES})
    if(NOT WEIR_SLOW_TESTS) # whoever uses it builds it
        set_target_properties(weir_${name} PROPERTIES EXCLUDE_FROM_ALL TRUE)
    endif()
    weir_link(weir_${name} PUBLIC "${arg_USES}" "${arg_LIBRARIES}")
endfunction()

function(weir_executable name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;USES;LIBRARIES")
    weir_refuse_leftover(weir_executable ${name} "${arg_UNPARSED_ARGUMENTS}")
    add_executable(${name} ${arg_SOURCES})
    weir_link(${name} PRIVATE "${arg_USES}" "${arg_LIBRARIES}")
endfunction()

function(weir_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL" "TIMEOUT"
        "SOURCES;USES;LIBRARIES;LABELS;ARGUMENTS;ENVIRONMENT")
    weir_refuse_leftover(weir_test ${name} "${arg_UNPARSED_ARGUMENTS}")
    add_executable(test_${name} ${arg_SOURCES})
    set_target_properties(test_${name} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    weir_link(test_${name} PRIVATE "${arg_USES}" "${arg_LIBRARIES}")
    target_link_libraries(test_${name} PRIVATE cmocka)
    add_test(NAME ${name} COMMAND test_${name} ${arg_ARGUMENTS})
    weir_test_properties(${name} "${arg_LABELS}" "${arg_TIMEOUT}" "${arg_SERIAL}"
        "${arg_ENVIRONMENT}")
    weir_exclude_slow(test_${name} ${name})
endfunction()

function(weir_script_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL" "TIMEOUT" "COMMAND;LABELS;ENVIRONMENT")
    weir_refuse_leftover(weir_script_test ${name} "${arg_UNPARSED_ARGUMENTS}")
    add_test(NAME ${name} COMMAND ${arg_COMMAND} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    weir_test_properties(${name} "${arg_LABELS}" "${arg_TIMEOUT}" "${arg_SERIAL}"
        "${arg_ENVIRONMENT}")
endfunction()

function(weir_fuzz name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "CORPUS;TIMEOUT" "SOURCES;USES;LIBRARIES")
    weir_refuse_leftover(weir_fuzz ${name} "${arg_UNPARSED_ARGUMENTS}")
    get_filename_component(corpus ${arg_CORPUS} ABSOLUTE)
    if(NOT IS_DIRECTORY ${corpus})
        message(FATAL_ERROR "weir_fuzz(${name}): corpus directory ${corpus} does not exist")
    endif()
    add_executable(fuzz_${name} ${arg_SOURCES})
    set_target_properties(fuzz_${name} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    weir_link(fuzz_${name} PRIVATE "${arg_USES}" "${arg_LIBRARIES}")
    if(WEIR_FUZZ)
        target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
        # What the run discovers goes to the build directory; the committed corpus is only read.
        # A finding's own exit status is 77, which here means a skip.
        set(exit_statuses -error_exitcode=1 -timeout_exitcode=1 -interrupted_exitcode=1)
        set(found ${PROJECT_BINARY_DIR}/fuzz/${name})
        file(MAKE_DIRECTORY ${found})
        add_test(NAME fuzz_${name} COMMAND fuzz_${name} -max_total_time=${WEIR_FUZZ_SECONDS}
            ${exit_statuses} -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
            -artifact_prefix=${found}/ ${found} ${corpus})
        math(EXPR limit "${WEIR_FUZZ_SECONDS} + 120")
        weir_test_properties(fuzz_${name} long ${limit} FALSE "")
        set(replay_arguments -runs=0 ${exit_statuses} ${corpus})
    else()
        target_sources(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz_replay.c)
        target_link_libraries(fuzz_${name} PRIVATE weir_base)
        set(replay_arguments ${corpus})
    endif()
    add_test(NAME fuzz_replay_${name} COMMAND fuzz_${name} ${replay_arguments})
    weir_test_properties(fuzz_replay_${name} fast "${arg_TIMEOUT}" FALSE "")
    weir_exclude_slow(fuzz_${name} fuzz_replay_${name})
endfunction()

# ---------------------------------------------------------------------------------------------
# Helpers of the above.

# A sanitizer's finding ends the program, with the stack.
set(weir_test_environment
    WEIR_SOURCE_DIR=${PROJECT_SOURCE_DIR}
    WEIR_BINARY_DIR=${PROJECT_BINARY_DIR}
    ASAN_OPTIONS=detect_stack_use_after_return=1
    UBSAN_OPTIONS=print_stacktrace=1
    TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1)

function(weir_test_properties name labels timeout serial environment)
    if(NOT labels)
        set(labels fast)
    endif()
    # What runs on one thread has nothing for the thread sanitizer to find, and takes ten times as
    # long under it: there it is slow, which is run with --long; so is what looks at its program.
    set(one_thread "^((entry|machines|raft|sim|storage|wire|fuzz_replay)_|tools_sim)")
    if(WEIR_SANITIZER STREQUAL "thread" AND labels STREQUAL "fast" AND
            (name MATCHES "${one_thread}" OR name MATCHES "^(stages_sessions|link_maps_node)$"))
        set(labels slow)
    endif()
    foreach(label IN LISTS labels)
        if(NOT label MATCHES "^(fast|slow|long)$")
            message(FATAL_ERROR "test ${name}: label \"${label}\" is none of fast, slow, long")
        endif()
    endforeach()
    if(NOT timeout)
        set(timeout 60)
    endif()
    math(EXPR limit "${timeout} * ${WEIR_TIMEOUT_FACTOR}")
    set_tests_properties(${name} PROPERTIES
        LABELS "${labels}" TIMEOUT ${limit}
        SKIP_RETURN_CODE 77 SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]"
        ENVIRONMENT "${weir_test_environment};${environment}")
    # What may take longest begins first, lest it run on when all others have ended. The others
    # begin in the order of their last run.
    if(timeout GREATER 60)
        set_tests_properties(${name} PROPERTIES COST ${timeout})
    endif()
    if(serial)
        set_tests_properties(${name} PROPERTIES RUN_SERIAL TRUE)
    endif()
endfunction()

# The program of a test that is not to be run is not built.
function(weir_exclude_slow target test)
    get_property(labels TEST ${test} PROPERTY LABELS)
    if(NOT WEIR_SLOW_TESTS AND NOT "fast" IN_LIST labels)
        set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL TRUE)
    endif()
endfunction()

function(weir_refuse_leftover function name leftover)
    if(leftover)
        message(FATAL_ERROR "${function}(${name}): do not know what to do with: ${leftover}")
    endif()
endfunction()

# Called at the end of the root: a misspelt USES would otherwise be an obscure linker error.
function(weir_check_uses)
    get_property(pairs GLOBAL PROPERTY WEIR_USED)
    foreach(pair IN LISTS pairs)
        string(REGEX MATCH "^(.*):(.*)$" ignored "${pair}")
        if(NOT TARGET ${CMAKE_MATCH_2})
            message(WARNING "${CMAKE_MATCH_1} uses ${CMAKE_MATCH_2}, which no folder defines")
        endif()
    endforeach()
endfunction()
