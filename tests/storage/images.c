/* See images.h. */

#include "tests/storage/images.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

void images_free(struct images *images) {
    for (uint32_t i = 0; i < images->count; i++)
        free(images->bytes[i]);
    images->count = 0;
}

static void note_write(void *context, const struct write_header *write, uint64_t offset,
                       uint64_t stride_bytes) {
    struct verdict *verdict = context;
    if (write->kind == WRITE_ENTRIES)
        verdict->entries_end = offset + stride_bytes;
}

struct verdict images_judge(const struct images *images) {
    struct verdict verdict = {.error = 0};
    struct verify_segment segments[IMAGES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < images->count; i++) {
        const enum format_state state =
            segment_header_read(images->bytes[i], images->length_bytes[i], &images->owner,
                                images->numbers[i], &segments[i].header, &verdict.fault);
        verdict.faulty = i;
        if (state == FORMAT_BLANK && i > 0 && i == images->count - 1 &&
            format_all_zero(images->bytes[i], images->length_bytes[i]))
            break; /* allocated ahead */
        if (state == FORMAT_BLANK)
            format_refuse(&verdict.fault, WEIR_ECORRUPT, 0, "the segment's header is missing");
        if (state == FORMAT_VALID && images->length_bytes[i] < segments[i].header.segment_bytes)
            format_refuse(&verdict.fault, WEIR_ECORRUPT, images->length_bytes[i], "short");
        else if (state == FORMAT_VALID) {
            count++;
            continue;
        }
        verdict.error = verdict.fault.error;
        return verdict;
    }
    struct entry_tail start = entry_tail_origin();
    uint32_t first_live;
    start.index = images->snapshot_index;
    verdict.error =
        verify_plan(segments, count, &start, &first_live, &verdict.faulty, &verdict.fault);
    if (verdict.error != 0)
        return verdict;
    struct verify_walk walk = {.start = start,
                               .tail = segments[first_live].header.before,
                               .on_write = note_write,
                               .context = &verdict};
    for (uint32_t i = first_live; i < count && verdict.error == 0; i++) {
        verdict.faulty = i;
        verdict.entries_end = SEGMENT_HEADER_BYTES;
        if (segments[i].live)
            verdict.error = verify_segment(&walk, &segments[i], images->bytes[i], &verdict.fault);
    }
    verdict.torn = walk.torn;
    verdict.tail = walk.tail;
    verdict.end_offset = walk.end_offset;
    verdict.durable_offset = walk.durable_end.offset;
    return verdict;
}
