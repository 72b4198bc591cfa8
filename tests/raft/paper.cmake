# Layer (a): one core, driven by hand.  A test for each sentence of the paper that says what a
# server does, and for each promise of raft/raft.h.
weir_library(raft_support SOURCES support.c USES raft base test_support LIBRARIES cmocka)
set(raft_papers
    paper_election paper_vote paper_append paper_leader paper_membership paper_snapshot paper_read
    paper_lease paper_transfer core_storage core_leader core_send core_room)
foreach(part ${raft_papers})
    weir_test(raft_${part} SOURCES test_${part}.c USES raft_support raft test_support)
endforeach()
# Its allocator is wrapped.
weir_test(raft_core_memory SOURCES test_core_memory.c USES raft_support raft test_support
    LIBRARIES -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc)

# Every planted defect of the core is caught by one of these, or of the tests of the parts.
set(tests "")
foreach(part ${raft_papers} quorum progress membership)
    weir_mutants_test(raft_${part})
    list(APPEND tests ${PROJECT_BINARY_DIR}/tests/mutant_raft_${part})
endforeach()
weir_script_test(raft_mutants COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/mutants ${tests} TIMEOUT 120)
