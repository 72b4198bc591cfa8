/* Hashes, and the keys that hold them. */

#include "tests/machines/kv_templates.h"

#include <stddef.h>

const char *const kv_templates_hash[] = {
    "HSET @k @e @v",
    "HSET @k @e @v",
    "HSET @k @e @v @e @v @e @v",
    "HSET @k @e @v @v @v @v @v @v @v",
    "HSET @k @e @v @e",
    "HSET @k @e",
    "HGET @k @e",
    "HDEL @k @e",
    "HDEL @k @e @e @e",
    "HLEN @k",
    "SET @k @v",
    "GET @k",
    "DEL @k",
    "TYPE @k",
    "EXISTS @k",
    "PERSIST @k",
    "PEXPIREAT @k @M",
    "EXPIRE @k @s",
    "PEXPIRETIME @k",
    "RENAME @k @k",
    "RENAME @k @k",
    "RENAMENX @k @k",
    "COPY @k @k",
    "COPY @k @k REPLACE",
    "UNLINK @k @k",
    NULL,
};
