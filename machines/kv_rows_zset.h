#ifndef WEIR_MACHINES_KV_ROWS_ZSET_H
#define WEIR_MACHINES_KV_ROWS_ZSET_H

/* The rows of the commands about sorted sets (kv_rows.h). Their ids are 160 to 199. */

#define KV_ROWS_ZSET(X)

#endif
