#ifndef WEIR_MACHINES_KV_ROWS_H
#define WEIR_MACHINES_KV_ROWS_H

/*
 * The rows of the command table, once, for all who need one thing of each: the table itself, the
 * enum of the rows, the functions that execute and those that judge a form. A type of values has
 * its rows in a file of its own.
 *
 *     X(NAME, execute, validate, "name", id, arity, flags, first key, last key, key step,
 *       "group", "since", "summary", "arguments")
 *
 * The columns from the name on are those of struct machine_command. NAME makes KV_ROW_NAME.
 * `validate` is NULL for a command that has no form beyond its arity.
 */

#include "machines/kv_rows_generic.h"
#include "machines/kv_rows_hash.h"
#include "machines/kv_rows_list.h"
#include "machines/kv_rows_set.h"
#include "machines/kv_rows_string.h"
#include "machines/kv_rows_zset.h"

#define KV_ROWS_ALL(X) \
    KV_ROWS_STRING(X)  \
    KV_ROWS_GENERIC(X) \
    KV_ROWS_LIST(X)    \
    KV_ROWS_SET(X)     \
    KV_ROWS_ZSET(X)    \
    KV_ROWS_HASH(X)

#endif
