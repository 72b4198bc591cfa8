/*
 * The log's memory.
 *
 *     0                                                              size
 *     |  free  | DONE | DONE | FLYING | CLOSED | OPEN ...>   free    |
 *               ^ begin                          ^ newest
 *
 * Writes stand one behind the other, each laid out as it will be on disk and starting at a
 * multiple of the block, so that a write is one aligned piece.  When the end is reached, or as soon
 * as LOG_HOT_BYTES are free at the front, the next write begins at 0: a log that keeps up with its
 * load touches the same cache-warm memory again and again.
 *
 * Memory is freed a whole write at a time, oldest first, once the write is on disk and all its
 * entries were released.
 *
 * Failure mode: there is none but "no room", which is an answer.
 */

#include "storage/log_internal.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "storage/files.h"

#include <stdlib.h>

static uint64_t power_of_two_at_least(uint64_t value) {
    uint64_t power = 1;
    while (power < value)
        power *= 2;
    return power;
}

int log_memory_create(struct log_memory *memory, uint64_t size_bytes, uint32_t block_bytes,
                      uint64_t first_index) {
    const uint64_t write_count = power_of_two_at_least(size_bytes / LOG_MEMORY_BYTES_PER_WRITE);
    const uint64_t entry_count = power_of_two_at_least(size_bytes / LOG_MEMORY_BYTES_PER_ENTRY);
    *memory = (struct log_memory){
        .bytes = files_memory(size_bytes),
        .size_bytes = size_bytes,
        .block_bytes = block_bytes,
        .writes = calloc(write_count, sizeof(struct log_write)),
        .write_mask = write_count - 1,
        .entries = calloc(entry_count, sizeof(uint32_t)),
        .entry_mask = entry_count - 1,
        .first_index = first_index,
    };
    if (memory->bytes != NULL && memory->writes != NULL && memory->entries != NULL)
        return 0;
    log_memory_destroy(memory);
    return WEIR_ENOMEM;
}

void log_memory_destroy(struct log_memory *memory) {
    files_memory_free(memory->bytes, memory->size_bytes);
    free(memory->writes);
    free(memory->entries);
    *memory = (struct log_memory){0};
}

struct log_write *log_memory_write(const struct log_memory *memory, uint64_t sequence) {
    ASSERT_HOT(sequence >= memory->writes_begin && sequence < memory->writes_end);
    return &memory->writes[sequence & memory->write_mask];
}

struct log_write *log_memory_open(const struct log_memory *memory) {
    if (memory->writes_begin == memory->writes_end)
        return NULL;
    struct log_write *newest = log_memory_write(memory, memory->writes_end - 1);
    return newest->state == LOG_WRITE_OPEN ? newest : NULL;
}

static uint64_t padded_bytes(const struct log_memory *memory, uint64_t length_bytes) {
    return ALIGN_UP(length_bytes, (uint64_t)memory->block_bytes);
}

/* Where the memory that the newest write may grow into ends. */
static uint64_t growth_end(const struct log_memory *memory, const struct log_write *newest) {
    const struct log_write *oldest = log_memory_write(memory, memory->writes_begin);
    return oldest->memory_offset > newest->memory_offset ? oldest->memory_offset
                                                         : memory->size_bytes;
}

bool log_memory_can_grow(const struct log_memory *memory, const struct log_write *write,
                         uint64_t length_bytes) {
    return write->memory_offset + padded_bytes(memory, length_bytes) <= growth_end(memory, write);
}

bool log_memory_find_room(const struct log_memory *memory, uint64_t length_bytes,
                          uint64_t room_wanted_bytes, uint64_t *offset) {
    const uint64_t need = padded_bytes(memory, length_bytes);
    if (memory->writes_end - memory->writes_begin > memory->write_mask)
        return false;
    if (memory->writes_begin == memory->writes_end) {
        *offset = 0;
        return need <= memory->size_bytes;
    }
    const struct log_write *oldest = log_memory_write(memory, memory->writes_begin);
    const struct log_write *newest = log_memory_write(memory, memory->writes_end - 1);
    const uint64_t head = newest->memory_offset + padded_bytes(memory, newest->length_bytes);
    const uint64_t end = growth_end(memory, newest);
    const bool is_wrapped = oldest->memory_offset > newest->memory_offset;
    const uint64_t front = is_wrapped ? 0 : oldest->memory_offset;
    const uint64_t hot = room_wanted_bytes > LOG_HOT_BYTES ? room_wanted_bytes : LOG_HOT_BYTES;
    if (front >= hot && front >= need) {
        *offset = 0;
        return true;
    }
    if (head + need <= end) {
        *offset = head;
        return true;
    }
    *offset = 0;
    return need <= front;
}

struct log_write *log_memory_push(struct log_memory *memory, uint64_t offset,
                                  uint32_t header_sectors, const struct entry_tail *before) {
    ASSERT(log_memory_open(memory) == NULL);
    ASSERT(header_sectors > 0 && header_sectors <= WRITE_HEADER_SECTORS_MAX);
    struct log_write *write = &memory->writes[memory->writes_end++ & memory->write_mask];
    const uint64_t sectors = header_sectors + (uint64_t)write_sums_count(header_sectors);
    /* Whole blocks only: the padding of the last one needs checksums as well. */
    const uint64_t capacity_bytes = sectors * SECTOR_BYTES & ~(uint64_t)(memory->block_bytes - 1);
    *write = (struct log_write){
        .memory_offset = offset,
        .length_bytes = header_sectors * SECTOR_BYTES,
        .capacity_bytes = capacity_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)capacity_bytes,
        .header_sectors = (uint16_t)header_sectors,
        .state = LOG_WRITE_OPEN,
        .before = *before,
        .last_index = before->index,
    };
    memory->used_bytes += write->length_bytes;
    return write;
}

void log_memory_free_done(struct log_memory *memory, uint64_t index) {
    while (memory->writes_begin < memory->writes_submit) {
        const struct log_write *oldest = log_memory_write(memory, memory->writes_begin);
        if (oldest->state != LOG_WRITE_DONE || oldest->last_index > index)
            return;
        if (oldest->last_index >= memory->first_index)
            memory->first_index = oldest->last_index + 1;
        memory->used_bytes -= oldest->length_bytes;
        memory->writes_begin++;
    }
}

/* Shortens a write so that `index` is its last entry; there is at least that one. */
static void write_cut(struct log_memory *memory, struct log_write *write, uint64_t index) {
    ASSERT(index > write->before.index && index < write->last_index);
    const uint8_t *last = log_memory_entry(memory, index);
    const uint64_t end =
        (uint64_t)(last - memory->bytes) + entry_stride_bytes(entry_header_read(last).length_bytes);
    memory->used_bytes -= write->memory_offset + write->length_bytes - end;
    write->length_bytes = (uint32_t)(end - write->memory_offset);
    write->entry_count -= (uint32_t)(write->last_index - index);
    write->summed_sectors = 0; /* the last sector's bytes have changed */
    write->last_index = index;
}

void log_memory_truncate(struct log_memory *memory, uint64_t index) {
    while (memory->writes_end > memory->writes_submit) {
        struct log_write *newest = log_memory_write(memory, memory->writes_end - 1);
        if (newest->last_index <= index && newest->entry_count > 0)
            break;
        if (newest->before.index < index) {
            write_cut(memory, newest, index);
            break;
        }
        memory->used_bytes -= newest->length_bytes;
        memory->writes_end--;
    }
    /* What was submitted stays as it is: its bytes may be under way.  Only its claim shrinks. */
    for (uint64_t i = memory->writes_begin; i < memory->writes_submit; i++) {
        struct log_write *write = log_memory_write(memory, i);
        if (write->last_index > index)
            write->last_index = index;
    }
    if (memory->first_index > index + 1)
        memory->first_index = index + 1;
}

const uint8_t *log_memory_entry(const struct log_memory *memory, uint64_t index) {
    ASSERT_HOT(index >= memory->first_index);
    const uint64_t place = memory->entries[index & memory->entry_mask];
    return memory->bytes + place * ENTRY_ALIGN_BYTES;
}

void log_memory_append(struct log_memory *memory, struct log_write *write, uint64_t index,
                       uint32_t length_bytes) {
    ASSERT_HOT(write->state == LOG_WRITE_OPEN && index == write->last_index + 1);
    ASSERT_HOT(index - memory->first_index <= memory->entry_mask);
    const uint64_t place = write->memory_offset + write->length_bytes;
    const uint32_t stride = entry_stride_bytes(length_bytes);
    ASSERT_HOT((uint64_t)write->length_bytes + stride <= write->capacity_bytes);
    memory->entries[index & memory->entry_mask] = (uint32_t)(place / ENTRY_ALIGN_BYTES);
    memory->used_bytes += stride;
    write->length_bytes += stride;
    write->entry_count++;
    write->last_index = index;
}

void log_memory_drop_open(struct log_memory *memory) {
    struct log_write *open = log_memory_open(memory);
    ASSERT(open != NULL && open->entry_count == 0);
    memory->used_bytes -= open->length_bytes;
    memory->writes_end--;
}
