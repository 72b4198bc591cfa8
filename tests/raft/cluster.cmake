# The core as a part of a cluster: at random, and in scenarios.
set(seeds 1200)
if(WEIR_SANITIZER)
    set(seeds 100)
endif()
weir_test(raft_random SOURCES test_random.c USES raft_cluster TIMEOUT 120
    ENVIRONMENT WEIR_RAFT_SEEDS=${seeds})
weir_script_test(raft_random_long COMMAND test_raft_random
    LABELS long TIMEOUT 1800 ENVIRONMENT WEIR_RAFT_SEEDS=40000 WEIR_RAFT_FIRST_SEED=100000)
weir_test(raft_scenarios SOURCES test_scenarios.c USES raft_cluster)
if(TARGET raft_shell)
    weir_script_test(raft_shell
        COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/test_shell.sh $<TARGET_FILE:raft_shell>)
endif()
