#ifndef WEIR_MACHINES_KV_ROWS_LIST_H
#define WEIR_MACHINES_KV_ROWS_LIST_H

/* The rows of the commands about lists (kv_rows.h). Their ids are 100 to 129. */

#define KV_ROWS_LIST(X)

#endif
