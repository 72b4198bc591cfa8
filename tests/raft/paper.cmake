# Layer (a): one core, driven by hand.  A test for each sentence of the paper that says what a
# server does, and for each promise of raft/raft.h.
weir_library(raft_support SOURCES support.c USES raft base test_support LIBRARIES cmocka)
set(raft_papers
    paper_election paper_vote paper_append paper_leader paper_membership paper_snapshot paper_read paper_transfer core_storage core_leader)
foreach(part ${raft_papers})
    weir_test(raft_${part} SOURCES test_${part}.c USES raft_support raft test_support)
endforeach()
