# Layer (a): one core, driven by hand.  A test for each sentence of the paper that says what a
# server does, and for each promise of raft/raft.h.
weir_library(raft_support SOURCES support.c USES raft base test_support LIBRARIES cmocka)
set(raft_papers
    paper_election paper_vote paper_append paper_leader paper_membership paper_snapshot paper_read
    paper_transfer core_storage core_leader)
foreach(part ${raft_papers})
    weir_test(raft_${part} SOURCES test_${part}.c USES raft_support raft test_support)
endforeach()
# Its allocator is wrapped.
weir_test(raft_core_memory SOURCES test_core_memory.c USES raft_support raft test_support
    LIBRARIES -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc)

# Every planted defect is caught by one of these, or of the tests of the parts.
set(tests "")
set(objects "")
foreach(part ${raft_papers} quorum progress membership)
    list(APPEND tests raft_${part})
    string(APPEND objects
        "objects_raft_${part}=($<JOIN:$<TARGET_OBJECTS:test_raft_${part}>, >)\n")
endforeach()
list(JOIN tests " " tests)
list(JOIN weir_instrumentation " " instrumentation)
set(archives "")
foreach(library raft_support raft test_support entry base)
    string(APPEND archives " $<TARGET_FILE:weir_${library}>")
endforeach()
set(mutants_settings ${CMAKE_CURRENT_BINARY_DIR}/mutants.settings)
file(GENERATE OUTPUT ${mutants_settings} CONTENT
"source='${PROJECT_SOURCE_DIR}'
build='${PROJECT_BINARY_DIR}'
compiler='${CMAKE_C_COMPILER}'
flags='-std=gnu17 -D_GNU_SOURCE= -O1 -g -I${PROJECT_SOURCE_DIR} ${instrumentation}'
libraries='${archives} -lxxhash -lcmocka -lpthread'
tests='${tests}'
${objects}")
if(NOT WEIR_COVERAGE)
    weir_script_test(raft_mutants COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/mutants ${mutants_settings}
        LABELS slow TIMEOUT 240)
endif()
