# The core alone, three of it in one process. Every allocation after the start is counted.
weir_executable(raft_bench SOURCES raft_bench.c raft_bench_nodes.c USES raft base)
target_link_options(raft_bench PRIVATE
    -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=aligned_alloc)
