#ifndef WEIR_MACHINES_KV_NUMBER_H
#define WEIR_MACHINES_KV_NUMBER_H

/* What commands that count with floating point share: INCRBYFLOAT and HINCRBYFLOAT. */

#include "machines/kv.h"
#include "machines/kv_float.h"

/* How far such a command is: word 1 of its cursor. */
enum kv_adding {
    KV_ADDING_AMOUNT, /* to be read */
    KV_ADDING_VALUE,  /* words 0 and 7: the amount */
    KV_ADDING_REPLY,  /* words 0 and 7: the sum */
    KV_ADDING_STORE,
};

/* Words 0 and 7: a number that a later slice needs. */
void kv_float_keep(struct kv_call *call, const struct kv_float *number);
struct kv_float kv_float_kept(const struct kv_call *call);

/* Reads a number, and pays for it; false after the error, which is `wrong`. */
bool kv_float_read(struct kv_call *call, const uint8_t *text, uint32_t length_bytes,
                   const char *wrong, struct kv_float *number);

/* Adds the amount that is kept to a number, and keeps the sum; false after the error. */
bool kv_float_add_kept(struct kv_call *call, const struct kv_float *number);

/* Prints the sum that is kept, and replies it, once. Made anew in each slice it is the same. What
 * it costs is in *units: to be paid last, so that each slice gets on. Returns the length. */
uint32_t kv_float_reply_kept(struct kv_call *call, char text[KV_FLOAT_TEXT_BYTES_MAX],
                             uint32_t *units);

#endif
