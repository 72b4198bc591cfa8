# Cores at random, and scenarios: tests of the core as a part of a cluster.
set(seeds 300)
if(WEIR_SANITIZER)
    set(seeds 40)
endif()
weir_test(raft_random SOURCES test_random.c USES raft_cluster TIMEOUT 120
    ENVIRONMENT WEIR_RAFT_SEEDS=${seeds})
weir_script_test(raft_random_long COMMAND test_raft_random
    LABELS long TIMEOUT 1800 ENVIRONMENT WEIR_RAFT_SEEDS=20000 WEIR_RAFT_FIRST_SEED=100000)
