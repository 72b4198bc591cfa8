/*
 * What the log does by the clock.
 *
 * Happy path: the next segment is made ahead of its need, segments that a snapshot covers are
 * removed, and what was appended is handed to the disk.  Idle for a while, the log records its end,
 * and fills with zeros ahead.
 *
 * Failure modes: no room for the next segment, or no file descriptor for it or for a segment that
 * is to be read: it is tried again after LOG_SPACE_RETRY_NS.
 */

#include "base/bytes.h"
#include "storage/log_internal.h"

/* The end of the log is durable, and nothing on disk says so. */
static bool is_unrecorded(const struct log *log) {
    return log->options.durability == DURABILITY_FSYNC &&
           log_position_less(log->recorded_end, log->entries_end);
}

void log_maintain(struct log *log, uint64_t now_ns) {
    log->now_ns = now_ns;
    if (log->state == LOG_FAILED)
        return;
    segment_spare_start(log);
    segment_remove_pump(log);
    reader_retry(log, &log->reader);
    reader_retry(log, &log->seeker);
    log_pump(log, false);
    const bool is_idle = log->operations_busy == 0 && !log->stopping &&
                         log->memory.writes_submit == log->memory.writes_end &&
                         log->truncate == TRUNCATE_NONE;
    if (!is_idle || now_ns < log->write_last_ns + LOG_IDLE_NS)
        return;
    if (is_unrecorded(log))
        segment_mark_write(log, WRITE_MARK);
    else
        segment_zeros_write(log);
}

uint64_t log_deadline_ns(const struct log *log) {
    if (log->state == LOG_FAILED)
        return UINT64_MAX;
    uint64_t retry_ns = log->spare == SPARE_STARVED ? log->spare_retry_ns : UINT64_MAX;
    const struct log_reader *readers[] = {&log->reader, &log->seeker};
    for (size_t i = 0; i < ARRAY_COUNT(readers); i++) {
        if (readers[i]->state == READER_STARVED && readers[i]->retry_ns < retry_ns)
            retry_ns = readers[i]->retry_ns;
    }
    if (retry_ns != UINT64_MAX)
        return retry_ns;
    bool in_spare;
    uint64_t offset;
    uint64_t length_bytes;
    if (log->operations_busy == 0 &&
        (is_unrecorded(log) || segment_zeros_wanted(log, &in_spare, &offset, &length_bytes)))
        return log->write_last_ns + LOG_IDLE_NS;
    return UINT64_MAX;
}
