# What a batch should span: the same small server in two shapes. bench/batch_shape_run compares.
weir_executable(batch_shape
    SOURCES batch_shape.c batch_shape_steps.c
    USES base queues io entry wire)
