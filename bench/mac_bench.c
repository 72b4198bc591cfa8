/*
 * mac_bench: what does a tag of a frame between members cost, beside its checksum?
 *
 *     mac_bench
 *
 * For bodies of several lengths: nanoseconds a tag of a message (GMAC of 16 bytes of a header and
 * the body), nanoseconds a tag as the handshake has it (HMAC-SHA-256 of the same), nanoseconds a
 * checksum (XXH3) of the body, and how much longer the second takes than the first. Each figure is
 * the best of many short runs, so that other work on the machine shows little.
 */
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/clock.h"
#include "base/gmac.h"
#include "base/mac.h"

enum { BYTES_MAX = 1 << 20, RUNS = 300, RUN_BYTES = 64 * 1024, HEADER_BYTES = 16 };

static uint8_t data[BYTES_MAX];
static struct mac_key key;
static struct gmac gmac;
static uint64_t sink; /* is printed, so that the work is not left out */

static void tag(size_t length_bytes) {
    struct mac_state state;
    uint8_t out[MAC_BYTES];
    mac_begin(&state, &key);
    mac_update(&state, data, HEADER_BYTES);
    mac_update(&state, data, length_bytes);
    mac_end(&state, &key, out);
    sink += out[0];
}

static void tag_message(size_t length_bytes) {
    static uint64_t number;
    uint8_t nonce[GMAC_NONCE_BYTES] = {0};
    uint8_t out[GMAC_BYTES];
    bytes_put_u64(nonce, number++);
    gmac_begin(&gmac, nonce);
    gmac_update(&gmac, data, HEADER_BYTES);
    gmac_update(&gmac, data, length_bytes);
    gmac_end(&gmac, out);
    sink += out[0];
}

static void checksum(size_t length_bytes) {
    sink += checksum_64(data, length_bytes, sink);
}

/* The best run's nanoseconds a call. */
static double measure(void (*work)(size_t length_bytes), size_t length_bytes) {
    uint32_t calls = length_bytes < RUN_BYTES ? (uint32_t)(RUN_BYTES / length_bytes) : 1;
    uint64_t best_ns = UINT64_MAX;
    for (uint32_t run = 0; run < RUNS; run++) {
        uint64_t begin_ns = clock_monotonic_ns();
        for (uint32_t i = 0; i < calls; i++) {
            work(length_bytes);
        }
        uint64_t run_ns = clock_monotonic_ns() - begin_ns;
        best_ns = run_ns < best_ns ? run_ns : best_ns;
    }
    return (double)best_ns / calls;
}

int main(void) {
    static const size_t lengths[] = {64, 96, 400, 1024, 4096, 8192, 65536, BYTES_MAX};
    struct error_text error;
    if (gmac_create(&gmac, &error) != WEIR_OK) {
        (void)fprintf(stderr, "mac_bench: %s\n", error.text);
        return 1;
    }
    mac_key_set(&key, data, MAC_BYTES);
    gmac_key_set(&gmac, data);
    (void)printf("%10s %12s %12s %12s %12s\n", "body bytes", "message ns", "handshake ns",
                 "checksum ns", "ratio");
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        double message_ns = measure(tag_message, lengths[i]);
        double handshake_ns = measure(tag, lengths[i]);
        (void)printf("%10zu %12.1f %12.1f %12.1f %12.2f\n", lengths[i], message_ns, handshake_ns,
                     measure(checksum, lengths[i]), handshake_ns / message_ns);
    }
    gmac_destroy(&gmac);
    (void)printf("(%llu)\n", (unsigned long long)sink);
    return 0;
}
