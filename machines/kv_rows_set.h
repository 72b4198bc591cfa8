#ifndef WEIR_MACHINES_KV_ROWS_SET_H
#define WEIR_MACHINES_KV_ROWS_SET_H

/* The rows of the commands about sets (kv_rows.h). Their ids are 130 to 159. */

#define KV_ROWS_SET(X)

#endif
