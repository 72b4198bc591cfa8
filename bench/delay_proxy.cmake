weir_executable(delay_proxy SOURCES delay_proxy.c USES base)
