weir_executable(log_bench SOURCES log_bench.c USES storage io entry base load)
