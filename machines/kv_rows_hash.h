#ifndef WEIR_MACHINES_KV_ROWS_HASH_H
#define WEIR_MACHINES_KV_ROWS_HASH_H

/* The rows of the commands about hashes (kv_rows.h). Their ids are 200 to 239. */

#define KV_ROWS_HASH(X)

#endif
