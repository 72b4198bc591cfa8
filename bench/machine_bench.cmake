weir_executable(machine_bench SOURCES machine_bench.c USES base wire machines)
