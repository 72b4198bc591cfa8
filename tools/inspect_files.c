/*
 * Identity, term and vote, and snapshots, as weir inspect shows them.  See inspect_files.h.
 *
 * Happy path: read, judge by the function that the node itself uses, print.  Failure modes: the
 * file cannot be read, or the judgement: both are damage, and the inspection goes on.
 */

#include "tools/inspect_files.h"

#include "base/bytes.h"
#include "storage/files.h"
#include "storage/identity_format.h"
#include "storage/incarnations.h"
#include "storage/incarnations_format.h"
#include "storage/snapshot_format.h"
#include "storage/vote_format.h"

static const char does_not_start[] = "the node does not start";

int inspect_file_read(struct inspection *inspection, const char *name, uint8_t **memory,
                      size_t *memory_bytes, uint64_t *length_bytes) {
    int32_t file;
    struct error_text error = {{0}};
    int result =
        files_open(inspection->port, inspection->directory, name, IO_OPEN_READ, &file, &error);
    if (result == 0) {
        *length_bytes = io_file_size_bytes(inspection->io, file);
        *memory_bytes = (size_t)ALIGN_UP(*length_bytes + 1, (uint64_t)BLOCK_BYTES_MAX);
        *memory = files_memory(*memory_bytes);
        if (*memory == NULL) {
            result = WEIR_ENOMEM;
            error_text_set(&error, "no memory to read it (%zu bytes)", *memory_bytes);
        } else if (*length_bytes > 0) {
            result =
                files_read(inspection->port, file, name, *memory, (size_t)*length_bytes, 0, &error);
        }
        io_close(inspection->io, file);
        if (result != 0)
            files_memory_free(*memory, *memory_bytes);
    }
    if (result != 0) {
        const struct format_fault fault = {.error = result, .offset = 0, .reason = error.text};
        report_damage(&inspection->report, name, &fault, does_not_start);
    }
    return result;
}

/* ---- identity ----------------------------------------------------------------------------- */

static const char *roles_name(uint8_t roles) {
    if (roles & CONFIGURATION_LEARNER)
        return "learner";
    return roles & CONFIGURATION_VOTER ? "voter" : "outgoing";
}

static void print_members(struct report *report, const struct configuration *configuration) {
    char text[CONFIGURATION_MEMBERS_MAX * 32] = "";
    size_t length = 0;
    for (uint32_t i = 0; i < configuration->member_count && length < sizeof(text); i++) {
        const int added =
            snprintf(text + length, sizeof(text) - length, "%s%llu:%s", i == 0 ? "" : ",",
                     (unsigned long long)configuration->members[i].node_id,
                     roles_name(configuration->members[i].roles));
        length += added < 0 ? 0 : (size_t)added;
    }
    report_text(report, "members", text);
}

void inspect_identity(struct inspection *inspection) {
    struct report *report = &inspection->report;
    uint8_t *image;
    size_t memory_bytes;
    uint64_t length_bytes;
    if (inspect_file_read(inspection, FILE_NAME_IDENTITY, &image, &memory_bytes, &length_bytes) !=
        0)
        return;
    struct identity identity;
    struct format_fault fault;
    if (identity_format_read(image, length_bytes, &identity, &fault) != 0) {
        report_damage(report, FILE_NAME_IDENTITY, &fault, does_not_start);
    } else {
        inspection->has_owner = true;
        inspection->owner = owner_of(&identity);
        inspection->has_incarnations = incarnations_needed(&identity);
        report_begin(report, "identity");
        report_text(report, "cluster", identity.cluster_name);
        report_hex(report, "cluster_id", identity.cluster_id);
        report_number(report, "node", identity.node_id);
        report_hex(report, "incarnation", identity.incarnation);
        print_members(report, &identity.members);
        report_end(report);
    }
    files_memory_free(image, memory_bytes);
}

/* ---- term and vote ------------------------------------------------------------------------ */

static void print_slot(struct report *report, const uint8_t *image, uint32_t number) {
    struct vote_slot slot;
    struct format_fault fault;
    report_begin(report, "vote_slot");
    report_number(report, "slot", number);
    if (vote_slot_read(image, number, NULL, &slot, &fault) == FORMAT_VALID) {
        report_number(report, "sequence", slot.sequence);
        report_number(report, "term", slot.record.term);
        report_number(report, "voted_for", slot.record.voted_for);
        report_text(report, "state", "ok");
    } else {
        report_number(report, "offset", fault.offset);
        report_text(report, "state", fault.reason);
    }
    report_end(report);
}

void inspect_vote(struct inspection *inspection) {
    struct report *report = &inspection->report;
    uint8_t *image;
    size_t memory_bytes;
    uint64_t length_bytes;
    if (inspect_file_read(inspection, FILE_NAME_VOTE, &image, &memory_bytes, &length_bytes) != 0)
        return;
    uint8_t slots[VOTE_FILE_BYTES] = {0};
    memcpy(slots, image,
           length_bytes < VOTE_FILE_BYTES ? (size_t)length_bytes : (size_t)VOTE_FILE_BYTES);
    files_memory_free(image, memory_bytes);
    struct vote_slot chosen;
    int repair_slot;
    const char *reason;
    struct format_fault fault;
    const int result = vote_choose(slots, inspection->has_owner ? &inspection->owner : NULL,
                                   &chosen, &repair_slot, &reason, &fault);
    print_slot(report, slots, 0);
    print_slot(report, slots, 1);
    if (result != 0) {
        report_damage(report, FILE_NAME_VOTE, &fault,
                      "the node does not know what it promised, and does not start");
        return;
    }
    report_begin(report, "vote");
    report_number(report, "term", chosen.record.term);
    report_number(report, "voted_for", chosen.record.voted_for);
    report_text(report, "state",
                repair_slot < 0 ? "ok" : "one slot will be rewritten from the other at start");
    report_end(report);
    inspection->has_vote = true;
    inspection->vote_term = chosen.record.term;
}

/* ---- incarnations ------------------------------------------------------------------------- */

static void print_incarnations(struct report *report, const struct configuration *table) {
    for (uint32_t i = 0; i < table->member_count; i++) {
        report_begin(report, "member");
        report_number(report, "id", table->members[i].node_id);
        report_hex(report, "incarnation", table->members[i].incarnation);
        report_end(report);
    }
}

void inspect_incarnations(struct inspection *inspection) {
    struct report *report = &inspection->report;
    uint8_t *image;
    size_t memory_bytes;
    uint64_t length_bytes;
    if (!inspection->has_incarnations ||
        inspect_file_read(inspection, FILE_NAME_INCARNATIONS, &image, &memory_bytes,
                          &length_bytes) != 0)
        return;
    struct configuration table;
    struct format_fault fault;
    switch (incarnations_format_read(
        image, length_bytes, inspection->has_owner ? &inspection->owner : NULL, &table, &fault)) {
    case FORMAT_VALID: print_incarnations(report, &table); break;
    case FORMAT_BLANK:
        report_begin(report, "members");
        report_text(report, "state", "none yet: this node has not met all members");
        report_end(report);
        break;
    case FORMAT_DAMAGED:
    case FORMAT_REFUSED:
        report_damage(report, FILE_NAME_INCARNATIONS, &fault,
                      "the node could not tell a member that was wiped, and does not start");
        break;
    }
    files_memory_free(image, memory_bytes);
}

void inspect_agreement(struct inspection *inspection) {
    if (!inspection->has_vote || inspection->vote_term >= inspection->last_term)
        return;
    /* A term is stored before the first entry of that term is written. */
    struct format_fault fault;
    format_refuse(&fault, WEIR_ECORRUPT, 0,
                  "its term is older than the log's last one: the file is an older copy");
    report_damage(&inspection->report, FILE_NAME_VOTE, &fault,
                  "the node could vote twice in a term, and does not start: put back all files of "
                  "one moment, never single ones");
}

/* ---- snapshots ---------------------------------------------------------------------------- */

static void print_snapshot(struct report *report, const char *name,
                           const struct snapshot_meta *meta, uint64_t length_bytes) {
    report_begin(report, "snapshot");
    report_text(report, "file", name);
    report_number(report, "index", meta->tail.index);
    report_number(report, "term", meta->tail.term);
    report_hex(report, "chain", meta->tail.chain);
    report_number(report, "log_time_ms", meta->tail.log_time_ms);
    report_text(report, "machine", meta->machine_name);
    report_number(report, "machine_version", meta->machine_version);
    report_number(report, "partitions", meta->genesis.partition_count);
    report_number(report, "value_bytes_max", meta->genesis.value_bytes_max);
    report_number(report, "session_bytes", meta->session_bytes);
    report_number(report, "machine_bytes", meta->machine_bytes - meta->session_bytes);
    report_number(report, "file_bytes", length_bytes);
    print_members(report, &meta->configuration);
    report_text(report, "state", "ok");
    report_end(report);
}

void inspect_snapshots(struct inspection *inspection) {
    inspection->start = entry_tail_origin();
    for (uint32_t i = 0; i < inspection->snapshot_count; i++) {
        char name[FILE_NAME_BYTES];
        uint8_t *image;
        size_t memory_bytes;
        uint64_t length_bytes;
        snapshot_name(name, inspection->snapshots[i]);
        if (inspect_file_read(inspection, name, &image, &memory_bytes, &length_bytes) != 0)
            continue;
        struct snapshot_meta meta;
        struct format_fault fault;
        if (snapshot_verify(image, length_bytes, inspection->has_owner ? &inspection->owner : NULL,
                            inspection->snapshots[i], &meta, &fault) != 0) {
            report_damage(&inspection->report, name, &fault,
                          i + 1 == inspection->snapshot_count
                              ? "the newest snapshot: the node starts only from an older one that "
                                "the log still continues"
                              : "it cannot serve as a reserve for a newer one");
        } else {
            print_snapshot(&inspection->report, name, &meta, length_bytes);
            inspection->start = meta.tail;
            inspection->last_term = meta.tail.term;
        }
        files_memory_free(image, memory_bytes);
    }
}
