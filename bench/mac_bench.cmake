# What authentication costs a frame between members: base/mac.h beside the checksum.
weir_executable(mac_bench SOURCES mac_bench.c USES base mac)
