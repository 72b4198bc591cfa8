/*
 * For the thread sanitizer: one item is passed between two threads, and then the slot is used once
 * more. argv[1] says how.
 *
 *   right               by the ring: no race
 *   publish_early       tail is published before the slot is written: a race
 *   publish_unordered   tail is stored without release: a race
 *   release_early       head is released before the slot is read: a race
 *
 * The wrong ones are the ring's own fields and copies, in the wrong order. Built with
 * -fsanitize=thread in whatever preset, by ring_race.sh, which expects the reports. Each race is
 * between two accesses that nothing orders, so it is found in whatever order they happen.
 */

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "queues/ring.h"

#define ITEM 42

static uint8_t memory[1024] CACHE_ALIGNED;
static struct gauge_ring gauge;
static struct ring *ring;
static const char *manner;

static void enqueue(uint32_t item) {
    if (strcmp(manner, "publish_early") == 0) {
        uint32_t tail = ring->tail_own;
        atomic_store_release_u32(&ring->tail, tail + 1);
        ring_copy_in(ring, tail, &item, 1, sizeof(item));
        ring->tail_own = tail + 1;
        return;
    }
    if (strcmp(manner, "publish_unordered") == 0) {
        uint32_t tail = ring->tail_own;
        ring_copy_in(ring, tail, &item, 1, sizeof(item));
        atomic_store_relaxed_u32(&ring->tail, tail + 1);
        ring->tail_own = tail + 1;
        return;
    }
    while (ring_u32_enqueue(ring, &item, 1) == 0) {
        sched_yield();
    }
}

static uint32_t dequeue(void) {
    uint32_t item = 0;
    if (strcmp(manner, "release_early") == 0) {
        while (ring_ready(ring, 1) == 0) {
            sched_yield();
        }
        uint32_t head = ring->head_own;
        atomic_store_release_u32(&ring->head, head + 1);
        ring_copy_out(ring, head, &item, 1, sizeof(item));
        ring->head_own = head + 1;
        return item;
    }
    while (ring_u32_dequeue(ring, &item, 1) == 0) {
        sched_yield();
    }
    return item;
}

/* Capacity 1: the second item goes into the slot of the first, once that has been given back. */
static void *produce(void *context) {
    (void)context;
    enqueue(ITEM);
    if (strcmp(manner, "right") == 0 || strcmp(manner, "release_early") == 0) {
        enqueue(ITEM + 1);
    }
    return NULL;
}

static void *consume(void *context) {
    uint32_t *sum = context;
    *sum = dequeue();
    if (strcmp(manner, "right") == 0) {
        *sum += dequeue();
    }
    return NULL;
}

int main(int argc, char **argv) {
    struct ring_setup setup = {
        .name = "left_right",
        .capacity = 1,
        .item_bytes = sizeof(uint32_t),
        .sequence_first = UINT32_MAX,
        .gauge = &gauge,
    };
    pthread_t threads[2];
    uint32_t sum = 0;
    if (argc != 2 || ring_bytes(1, sizeof(uint32_t)) > sizeof(memory)) {
        return 2;
    }
    manner = argv[1];
    ring = ring_init(memory, &setup);
    if (pthread_create(&threads[0], NULL, produce, NULL) != 0 ||
        pthread_create(&threads[1], NULL, consume, &sum) != 0) {
        return 2;
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    /* The wrong manners may well lose the item; only the right one is held to it. */
    if (strcmp(manner, "right") == 0 && sum != 2 * ITEM + 1) {
        fprintf(stderr, "ring_race: the items did not arrive\n");
        return 3;
    }
    return 0;
}
