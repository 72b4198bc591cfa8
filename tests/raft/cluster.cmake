# The core as a part of a cluster: at random, and in scenarios.
set(seeds 1200)
set(forgetful_seeds 300)
if(WEIR_SANITIZER)
    set(seeds 100)
    set(forgetful_seeds 80)
endif()
weir_test(raft_random SOURCES test_random.c USES raft_cluster TIMEOUT 120
    ENVIRONMENT WEIR_RAFT_SEEDS=${seeds})
# The same with a core that forgets terms after a few elections, and looks at its invariants after
# every step.
set(forgetful test_random.c)
foreach(library raft raft_cluster)
    get_target_property(sources weir_${library} SOURCES)
    get_target_property(directory weir_${library} SOURCE_DIR)
    list(TRANSFORM sources PREPEND ${directory}/)
    list(APPEND forgetful ${sources})
endforeach()
weir_test(raft_random_forgetful SOURCES ${forgetful} USES base entry TIMEOUT 120
    ENVIRONMENT WEIR_RAFT_SEEDS=${forgetful_seeds} WEIR_RAFT_FIRST_SEED=500000)
target_compile_definitions(test_raft_random_forgetful PRIVATE
    RAFT_TERM_RUNS=8 RAFT_CHECK_EVERY_STEP)
weir_script_test(raft_random_long COMMAND test_raft_random
    LABELS long TIMEOUT 1800 ENVIRONMENT WEIR_RAFT_SEEDS=40000 WEIR_RAFT_FIRST_SEED=100000)
weir_test(raft_scenarios SOURCES test_scenarios.c USES raft_cluster)
weir_script_test(raft_scenarios_table COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/test_scenarios_table.py
    ${CMAKE_SOURCE_DIR}/tests/scenarios.md ${CMAKE_SOURCE_DIR}/tests/scenarios)
if(TARGET raft_shell)
    weir_script_test(raft_shell
        COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/test_shell.sh $<TARGET_FILE:raft_shell>)
endif()
