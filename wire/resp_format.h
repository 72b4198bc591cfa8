/* The client's side of a request: a command as RESP multibulk, for bench/ and tests/. */
#ifndef WEIR_WIRE_RESP_FORMAT_H
#define WEIR_WIRE_RESP_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/* Exact length in bytes of the command that resp_format_command would write. */
size_t resp_format_command_bytes(uint32_t argument_count, const size_t *argument_lengths);

/* Write `*count\r\n` and each argument as `$length\r\n...\r\n` to `buffer`.
 *
 *   arguments         argument_count pointers, each to argument_lengths[i] bytes (any bytes)
 *   argument_lengths  may be NULL: then the arguments are NUL-terminated strings
 *
 * Returns the bytes written, or 0, with the buffer unchanged, if they would exceed `capacity`. */
size_t resp_format_command(uint8_t *buffer, size_t capacity, uint32_t argument_count,
                           const char *const *arguments, const size_t *argument_lengths);

/* Write only the array's header, or one bulk: for requests that are assembled piece by piece. Both
 * return the bytes written, or 0, with the buffer unchanged, if they would exceed `capacity`. */
size_t resp_format_array(uint8_t *buffer, size_t capacity, uint32_t argument_count);
size_t resp_format_bulk(uint8_t *buffer, size_t capacity, const void *data, size_t length);

#endif
