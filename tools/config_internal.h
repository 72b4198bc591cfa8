#ifndef WEIR_TOOLS_CONFIG_INTERNAL_H
#define WEIR_TOOLS_CONFIG_INTERNAL_H

/* What the files of the configuration share: rows of the table of keys, and sorts of values. */

#include <stddef.h>

#include "tools/config.h"

/* Why a value was not taken: what would have been. */
#define TAKEN NULL

/* A key. */
struct config_row {
    const char *key;
    /* Sets it; TAKEN, or what is expected instead, config unchanged. */
    const char *(*take)(struct config *config, const char *value);
    /* Writes the value in force; NULL: never shown. */
    void (*show)(const struct config *config, char *out, size_t capacity);
};

/* ---- tools/config.c: sorts of values; false: it is none, and *out is unchanged ------------- */

/* A text with its zero. */
bool config_take_text(char *out, size_t capacity, const char *value);

/* A decimal number within [min, max]; and one shown. */
bool config_take_number(uint64_t *out, const char *value, uint64_t min, uint64_t max);
void config_show_number(uint64_t number, char *out, size_t capacity);

/* A number of bytes, with or without one of Redis's units. */
bool config_take_bytes(uint64_t *out, const char *value);

/* One host, without brackets, into `out` of CONFIG_HOST_BYTES_MAX + 1. */
bool config_take_host(char *out, const char *value);

/* Cuts "HOST:PORT" in two: the host, with its brackets, and the port's digits, or NULL. */
const char *config_cut_port(char host[CONFIG_HOST_BYTES_MAX + 1], const char *value);

/* ---- tools/config_cluster.c ----------------------------------------------------------------- */

/* The keys of a node's place among others. */
enum { CONFIG_CLUSTER_ROWS = 12 };
extern const struct config_row config_cluster_rows[CONFIG_CLUSTER_ROWS];

#endif
