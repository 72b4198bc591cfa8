#ifndef WEIR_TOOLS_INSPECT_REPORT_H
#define WEIR_TOOLS_INSPECT_REPORT_H

/*
 * What weir inspect prints: records of named fields, as lines for a person or as JSON.
 *
 *     segment  file=log-0000000000000001 generation=1 after=0 ... state=ok
 *     {"record":"segment","file":"log-0000000000000001","generation":1,"after":0,...}
 *
 * A record is begun, given fields in order, and ended.  Damage is a record like others, which is
 * counted, with the same four fields always: file, offset, reason, and what follows from it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "storage/format.h"

/* Zeroed but for `stream` and `json`, it is ready. */
struct report {
    FILE *stream;
    bool json;
    uint32_t record_count;
    uint32_t field_count; /* of the record that is open */
    uint32_t damage_count;
};

/* Before the first record, and after the last. */
void report_open(struct report *report);
void report_close(struct report *report);

/* Begins and ends one record. */
void report_begin(struct report *report, const char *record);
void report_end(struct report *report);

/* Adds one field to the open record. */
void report_text(struct report *report, const char *name, const char *value);
void report_number(struct report *report, const char *name, uint64_t value);
void report_hex(struct report *report, const char *name, uint64_t value);

/* Adds a field "A..B", or "none" if B is below A. */
void report_range(struct report *report, const char *name, uint64_t first, uint64_t last);

/* A whole record: damage, counted. */
void report_damage(struct report *report, const char *file, const struct format_fault *fault,
                   const char *consequence);

#endif
