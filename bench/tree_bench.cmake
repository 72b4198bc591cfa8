# What the ordered structure costs at sizes from 1 to a million entries: machines/kv_tree.h.
weir_executable(tree_bench SOURCES tree_bench.c USES base machines)
