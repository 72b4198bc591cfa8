#ifndef WEIR_TESTS_PROPERTY_NODE_LOG_H
#define WEIR_TESTS_PROPERTY_NODE_LOG_H

/*
 * The order of things according to the node: its log, read from the directory of a node that was
 * stopped, by the code with which the node itself opens it, so that its chain is verified.
 */

#include <stdbool.h>

#include "tests/property/history.h"

/* Adds every command in its order to `logged`, and for each entry without commands one with id 0
 * that says its time. False with *error if the log cannot be read, or lacks entry 1. */
bool node_log_read(const char *data_directory, struct logged *logged, struct kv_model_text *error);

#endif
