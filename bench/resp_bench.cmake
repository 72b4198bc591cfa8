# The cost of a command in wire/: parsing a request and encoding a reply, in one thread.
weir_executable(resp_bench SOURCES resp_bench.c USES base wire)
