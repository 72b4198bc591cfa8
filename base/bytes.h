#ifndef WEIR_BASE_BYTES_H
#define WEIR_BASE_BYTES_H

/*
 * Bytes in memory, on disk and on the wire.
 *
 * Every format of ours is little-endian and is read and written with these functions only, at any
 * alignment. On a little-endian host each is one load or store. All of them are pure: any thread,
 * no allocation, no failure; the caller vouches that the 2, 4 or 8 bytes are there.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * What two cores do not want to share. 64 on x86-64 and on most of aarch64; the adjacent-line
 * prefetcher of Intel's is not our unit: it costs bandwidth, not ownership.
 */
#define CACHE_LINE_BYTES 64

/* Puts a struct, or a member of one, at the start of a cache line. */
#define CACHE_ALIGNED __attribute__((aligned(CACHE_LINE_BYTES)))

/* `x` rounded up to a multiple of `alignment`, which is a power of two of x's own type or wider. */
#define ALIGN_UP(x, alignment) (((x) + ((alignment)-1)) & ~((alignment)-1))

/* Whether the unsigned `x` has exactly one bit set. */
#define IS_POWER_OF_TWO(x) ((x) != 0 && ((x) & ((x)-1)) == 0)

/* How many elements an array has; the compiler's -Wsizeof-pointer-div refuses a pointer. */
#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The struct of `type` whose `member` is at `pointer`. */
#define CONTAINER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* The host's u16 for its little-endian form, and the other way round: the same permutation. */
static inline uint16_t bytes_swap_u16(uint16_t value) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return value;
#else
    return __builtin_bswap16(value);
#endif
}

/* As bytes_swap_u16, of 4 bytes. */
static inline uint32_t bytes_swap_u32(uint32_t value) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return value;
#else
    return __builtin_bswap32(value);
#endif
}

/* As bytes_swap_u16, of 8 bytes. */
static inline uint64_t bytes_swap_u64(uint64_t value) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return value;
#else
    return __builtin_bswap64(value);
#endif
}

/* The u16 stored little-endian in the 2 bytes at `from`. */
static inline uint16_t bytes_get_u16(const uint8_t *from) {
    uint16_t value;
    memcpy(&value, from, sizeof(value));
    return bytes_swap_u16(value);
}

/* The u32 stored little-endian in the 4 bytes at `from`. */
static inline uint32_t bytes_get_u32(const uint8_t *from) {
    uint32_t value;
    memcpy(&value, from, sizeof(value));
    return bytes_swap_u32(value);
}

/* The u64 stored little-endian in the 8 bytes at `from`. */
static inline uint64_t bytes_get_u64(const uint8_t *from) {
    uint64_t value;
    memcpy(&value, from, sizeof(value));
    return bytes_swap_u64(value);
}

/* Stores `value` little-endian in the 2 bytes at `to`. */
static inline void bytes_put_u16(uint8_t *to, uint16_t value) {
    value = bytes_swap_u16(value);
    memcpy(to, &value, sizeof(value));
}

/* Stores `value` little-endian in the 4 bytes at `to`. */
static inline void bytes_put_u32(uint8_t *to, uint32_t value) {
    value = bytes_swap_u32(value);
    memcpy(to, &value, sizeof(value));
}

/* Stores `value` little-endian in the 8 bytes at `to`. */
static inline void bytes_put_u64(uint8_t *to, uint64_t value) {
    value = bytes_swap_u64(value);
    memcpy(to, &value, sizeof(value));
}

#endif
