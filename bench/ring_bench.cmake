# The only other place that includes Concurrency Kit: its plain ring is the twin to compare with.
weir_executable(ring_bench SOURCES ring_bench.c USES queues)
