/*
 * The log, as weir inspect shows it.  See inspect_files.h.
 *
 * Happy path: read the headers, plan, walk every live segment, print a line for each and, on
 * request, one for each entry.
 *
 * Failure modes: a damaged header ends the plan before that segment; damage inside a segment is
 * reported and the walk goes on with the next one, so that one run shows all there is.
 */

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "entry/address.h"
#include "storage/files.h"
#include "storage/log_verify.h"
#include "tools/inspect_files.h"

static const char entries_lost[] =
    "entries from here on are not what was written: the node does not start";

enum { DIGEST_DIGITS_MAX = 10 }; /* of a partition's number */

/* What is counted while one segment is walked. */
struct segment_count {
    struct inspection *inspection;
    uint64_t writes;
    uint64_t marks;
    uint64_t entries;
    uint64_t first_index;
    bool sealed;
};

static void note_write(void *context, const struct write_header *write, uint64_t offset,
                       uint64_t stride_bytes) {
    struct segment_count *count = context;
    (void)offset;
    (void)stride_bytes;
    count->writes += write->kind == WRITE_ENTRIES;
    count->marks += write->kind == WRITE_MARK;
    count->sealed = count->sealed || write->kind == WRITE_SEAL;
}

static const char *kind_name(uint8_t kind) {
    switch ((enum entry_kind)kind) {
    case ENTRY_COMMANDS: return "commands";
    case ENTRY_CONFIGURATION: return "configuration";
    case ENTRY_NOOP: return "noop";
    case ENTRY_GENESIS: return "genesis";
    case ENTRY_TIME: return "time";
    case ENTRY_DIGEST: return "digest";
    case ENTRY_SESSION: return "session";
    case ENTRY_ADDRESS: return "address";
    }
    return "unknown";
}

/* What a digest entry vouches for. */
static void print_digest(struct report *report, const uint8_t *entry) {
    const struct entry_digest digest = entry_digest_read(entry + ENTRY_HEADER_BYTES);
    report_number(report, "digest_index", digest.index);
    report_number(report, "partitions", digest.count);
    for (uint32_t i = 0; i < digest.count; i++) {
        char name[sizeof("digest_") + DIGEST_DIGITS_MAX];
        snprintf(name, sizeof(name), "digest_%u", i % ENTRY_PARTITIONS_MAX);
        report_hex(report, name, bytes_get_u64(digest.digests + 8 * (size_t)i));
    }
}

/* What was agreed for ever; value_bytes_max 0: nothing, by an older version. */
static void print_genesis(struct report *report, const uint8_t *entry) {
    const struct entry_genesis genesis = entry_genesis_read(entry + ENTRY_HEADER_BYTES);
    ASSERT(genesis.partition_count > 0);
    report_number(report, "partitions", genesis.partition_count);
    report_number(report, "value_bytes_max", genesis.value_bytes_max);
}

/* Where clients reach a member from this entry on. */
static void print_address(struct report *report, const uint8_t *entry, size_t body_bytes) {
    struct entry_address address;
    const bool valid = entry_address_read(entry + ENTRY_HEADER_BYTES, body_bytes, &address);
    ASSERT(valid); /* the entry was verified */
    char text[ENTRY_ADDRESS_BYTES_MAX + 1];
    entry_address_text(&address, text);
    report_number(report, "node", address.node_id);
    report_text(report, "address", text);
}

static void note_entry(void *context, const uint8_t *entry, uint64_t offset) {
    struct segment_count *count = context;
    struct inspection *inspection = count->inspection;
    const struct entry_header header = entry_header_read(entry);
    if (count->entries++ == 0)
        count->first_index = header.index;
    if (!inspection->entries || header.index < inspection->entry_first ||
        header.index > inspection->entry_last)
        return;
    struct report *report = &inspection->report;
    report_begin(report, "entry");
    report_number(report, "index", header.index);
    report_number(report, "term", header.term);
    report_text(report, "kind", kind_name(header.kind));
    report_number(report, "commands", header.command_count);
    report_number(report, "bytes", header.length_bytes);
    report_number(report, "log_time_ms", header.log_time_ms);
    report_hex(report, "chain", header.chain);
    report_number(report, "offset", offset);
    if (header.kind == ENTRY_DIGEST)
        print_digest(report, entry);
    if (header.kind == ENTRY_GENESIS)
        print_genesis(report, entry);
    if (header.kind == ENTRY_ADDRESS)
        print_address(report, entry, header.length_bytes - ENTRY_HEADER_BYTES);
    report_end(report);
}

static const char *origin_name(uint8_t origin) {
    switch ((enum segment_origin)origin) {
    case SEGMENT_FIRST: return "first";
    case SEGMENT_NEXT: return "next";
    case SEGMENT_TRUNCATE: return "truncate";
    case SEGMENT_CUT: return "cut";
    case SEGMENT_RESTART: return "restart";
    }
    return "unknown";
}

static void print_segment(struct report *report, const struct verify_segment *segment,
                          const struct segment_count *count, const struct verify_walk *walk,
                          const char *state) {
    const struct segment_header *header = &segment->header;
    char name[FILE_NAME_BYTES];
    segment_name(name, header->number);
    report_begin(report, "segment");
    report_text(report, "file", name);
    report_number(report, "generation", header->generation);
    report_text(report, "origin", origin_name(header->origin));
    report_number(report, "after", header->before.index);
    report_number(report, "file_bytes", header->segment_bytes);
    report_number(report, "block_bytes", header->block_bytes);
    if (count != NULL) {
        if (count->entries > 0)
            report_range(report, "entries", count->first_index,
                         count->first_index + count->entries - 1);
        else
            report_text(report, "entries", "none");
        report_number(report, "writes", count->writes);
        report_number(report, "marks", count->marks);
        report_text(report, "sealed", count->sealed ? "yes" : "no");
        report_number(report, "end_offset", walk->end_offset);
        report_number(report, "durable_offset", walk->durable_end.offset);
    }
    report_text(report, "state", state);
    report_end(report);
}

static void segment_inspect(struct inspection *inspection, struct verify_segment *segment) {
    struct report *report = &inspection->report;
    char name[FILE_NAME_BYTES];
    uint8_t *image;
    size_t memory_bytes;
    uint64_t length_bytes;
    segment_name(name, segment->header.number);
    if (!segment->live) {
        print_segment(report, segment, NULL, NULL, "void: none of its entries counts any more");
        return;
    }
    if (inspect_file_read(inspection, name, &image, &memory_bytes, &length_bytes) != 0)
        return;
    struct format_fault fault;
    struct segment_count count = {.inspection = inspection};
    struct verify_walk walk = {.start = inspection->start,
                               .tail = segment->header.before,
                               .on_write = note_write,
                               .on_entry = note_entry,
                               .context = &count};
    int result;
    if (length_bytes < segment->header.segment_bytes)
        result = format_refuse(&fault, WEIR_ECORRUPT, length_bytes,
                               "the file is shorter than its header says");
    else
        result = verify_segment(&walk, segment, image, &fault);
    print_segment(report, segment, &count, &walk,
                  result != 0 ? "damaged"
                  : walk.torn ? "torn tail: the last write was never completed, and will be cut"
                              : "ok");
    if (result != 0)
        report_damage(report, name, &fault, entries_lost);
    if (walk.tail.term > inspection->last_term)
        inspection->last_term = walk.tail.term;
    files_memory_free(image, memory_bytes);
}

/* Reads one header; false if the plan must end before this segment. */
static bool header_inspect(struct inspection *inspection, uint32_t i,
                           struct verify_segment *segment) {
    char name[FILE_NAME_BYTES];
    uint8_t *image;
    size_t memory_bytes;
    uint64_t length_bytes;
    struct format_fault fault;
    segment_name(name, inspection->segments[i]);
    if (inspect_file_read(inspection, name, &image, &memory_bytes, &length_bytes) != 0)
        return false;
    const enum format_state state =
        segment_header_read(image, length_bytes, inspection->has_owner ? &inspection->owner : NULL,
                            inspection->segments[i], &segment->header, &fault);
    const bool is_spare = state == FORMAT_BLANK && i > 0 && i + 1 == inspection->segment_count &&
                          format_zero_bytes(image, memory_bytes) == memory_bytes;
    files_memory_free(image, memory_bytes);
    if (state == FORMAT_VALID)
        return true;
    if (is_spare) {
        report_begin(&inspection->report, "segment");
        report_text(&inspection->report, "file", name);
        report_number(&inspection->report, "file_bytes", length_bytes);
        report_text(&inspection->report, "state", "allocated ahead, not in use");
        report_end(&inspection->report);
        return false;
    }
    if (state == FORMAT_BLANK)
        format_refuse(&fault, WEIR_ECORRUPT, 0, "the segment's header is missing");
    report_damage(&inspection->report, name, &fault, entries_lost);
    return false;
}

void inspect_log(struct inspection *inspection) {
    struct verify_segment *segments =
        calloc((size_t)inspection->segment_count + 1, sizeof(*segments));
    uint32_t count = 0;
    if (segments == NULL)
        return;
    while (count < inspection->segment_count && header_inspect(inspection, count, &segments[count]))
        count++;
    struct format_fault fault;
    if (count == 0) {
        format_refuse(&fault, WEIR_ECORRUPT, 0, "there is no log segment that could be read");
        report_damage(&inspection->report, "log", &fault, entries_lost);
        free(segments);
        return;
    }
    uint32_t first_live;
    uint32_t faulty;
    if (verify_plan(segments, count, &inspection->start, &first_live, &faulty, &fault) != 0) {
        char name[FILE_NAME_BYTES];
        segment_name(name, inspection->segments[faulty]);
        report_damage(&inspection->report, name, &fault, entries_lost);
    } else {
        for (uint32_t i = 0; i < count; i++)
            segment_inspect(inspection, &segments[i]);
    }
    free(segments);
}
