/*
 * Records as lines or as JSON: see inspect_report.h.  Nothing here fails; what a full disk or a
 * closed pipe does to the stream is seen by whoever closes it.
 */

#include "tools/inspect_report.h"

#include <string.h>

#include "base/assert.h"

void report_open(struct report *report) {
    if (report->json)
        (void)fprintf(report->stream, "{\"records\":[");
}

void report_close(struct report *report) {
    if (report->json)
        (void)fprintf(report->stream, "\n],\"damage\":%u}\n", report->damage_count);
    else
        (void)fprintf(report->stream, "%s\n",
                      report->damage_count == 0 ? "no damage" : "damage found");
}

void report_begin(struct report *report, const char *record) {
    report->field_count = 0;
    if (report->json)
        (void)fprintf(report->stream, "%s\n{\"record\":\"%s\"",
                      report->record_count == 0 ? "" : ",", record);
    else
        (void)fprintf(report->stream, "%-9s", record);
    report->record_count++;
}

void report_end(struct report *report) {
    ASSERT(report->field_count > 0);
    (void)fprintf(report->stream, report->json ? "}" : "\n");
}

static void field_name(struct report *report, const char *name) {
    report->field_count++;
    (void)fprintf(report->stream, report->json ? ",\"%s\":" : " %s=", name);
}

/* In quotes, where they are needed; our own names and sentences hold no control byte. */
static void quoted(FILE *stream, const char *value) {
    (void)fputc('"', stream);
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\')
            (void)fputc('\\', stream);
        (void)fputc(*value < ' ' ? '?' : *value, stream);
    }
    (void)fputc('"', stream);
}

void report_text(struct report *report, const char *name, const char *value) {
    field_name(report, name);
    if (report->json || value[0] == '\0' || strpbrk(value, " \"=") != NULL)
        quoted(report->stream, value);
    else
        (void)fputs(value, report->stream);
}

void report_number(struct report *report, const char *name, uint64_t value) {
    field_name(report, name);
    (void)fprintf(report->stream, "%llu", (unsigned long long)value);
}

/* A string in JSON too: its numbers hold 53 bits. */
void report_hex(struct report *report, const char *name, uint64_t value) {
    field_name(report, name);
    (void)fprintf(report->stream, report->json ? "\"%016llx\"" : "%016llx",
                  (unsigned long long)value);
}

void report_range(struct report *report, const char *name, uint64_t first, uint64_t last) {
    char text[48] = "none";
    if (first <= last)
        (void)snprintf(text, sizeof(text), "%llu..%llu", (unsigned long long)first,
                       (unsigned long long)last);
    report_text(report, name, text);
}

void report_damage(struct report *report, const char *file, const struct format_fault *fault,
                   const char *consequence) {
    report->damage_count++;
    report_begin(report, "damage");
    report_text(report, "file", file);
    report_number(report, "offset", fault->offset);
    report_text(report, "reason", fault->reason);
    report_text(report, "consequence", consequence);
    report_text(report, "do",
                "restore this node's data directory from a backup not older than its last vote, "
                "or remove it and add the node again as a new member; nothing was changed");
    report_end(report);
}
