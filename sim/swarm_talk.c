/*
 * The messages between nodes as a story.  See sim/swarm_talk.h.
 *
 * Happy path: bytes are added to the stream of their connection and direction; each frame that is
 * whole is read and taken off; the message is counted for its way, and told if it says something
 * that the last one of its kind on this way did not.  Lines of one moment wait for each other, so
 * that the same words to several nodes become one line.
 *
 * Failure modes: there are more connections than SWARM_STREAMS: the one that was silent longest is
 * forgotten; if it speaks again its bytes are not understood.  What cannot be read is counted as
 * such.  More lines at one moment than WAITING_MAX: those that wait are told first.
 */

#include "sim/swarm_talk.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "sim/swarm_internal.h"
#include "stages/peer_digest.h"
#include "stages/peer_message.h"
#include "wire/peer_frame.h"
#include "wire/peer_hello.h"

enum {
    /* Two connections each way between any two of seven, and twice as many that are old. */
    SWARM_STREAMS = 256,
    WAITING_MAX = 32,
    LINE_BYTES = 256,
    /* Refused appends of a way that are told each second; all are counted. */
    REFUSALS_TOLD = 3,
    KINDS = RAFT_MESSAGE_TIMEOUT_NOW + 1,
    FRAME_KIND_OFFSET = 4,
};

/* A direction of a connection, cut into frames. */
struct stream {
    uint64_t connection;
    uint64_t used; /* when, as a number of the talk's clock; 0: free */
    bool opener;
    bool lost; /* its bytes are not understood */
    uint8_t *bytes;
    size_t length_bytes;
    size_t capacity_bytes;
};

/* The way from one node to another. */
struct way {
    /* Since the last second. */
    uint64_t counts[KINDS];
    uint64_t refused; /* of the answers to appends */
    uint64_t entries;
    uint64_t digests;
    uint64_t unread;
    uint64_t sent_bytes;
    uint64_t arrived_bytes;
    uint32_t refusals_told;
    /* What was told last, of each kind: a hash of what matters of it; of refusals apart. */
    uint64_t told[KINDS];
    uint64_t told_refusal;
    uint64_t told_handshake;
};

/* A line that waits: what a node says to some. */
struct waiting {
    uint32_t from;
    uint32_t to; /* bit n: node n */
    char text[LINE_BYTES];
};

struct swarm_talk {
    struct swarm *swarm;
    struct stream streams[SWARM_STREAMS];
    uint64_t clock;
    struct way ways[SWARM_NODES_MAX][SWARM_NODES_MAX];
    struct waiting waiting[WAITING_MAX];
    uint32_t waiting_count;
    uint64_t waiting_ns; /* their moment, of the cluster */
    struct peer_message message;
    struct configuration configurations[RAFT_MESSAGE_ENTRIES_MAX];
};

/* ---- lines ---------------------------------------------------------------------------------- */

void swarm_talk_flush(struct swarm_talk *talk, bool always) {
    if (talk == NULL || talk->waiting_count == 0 ||
        (!always && talk->waiting_ns == swarm_time_ns(talk->swarm))) {
        return;
    }
    uint32_t count = talk->waiting_count;
    talk->waiting_count = 0; /* telling a line flushes, too */
    for (uint32_t i = 0; i < count; i++) {
        const struct waiting *each = &talk->waiting[i];
        char to[2 * SWARM_NODES_MAX + 1] = "";
        int used = 0;
        for (uint32_t j = 0; j < SWARM_NODES_MAX; j++) {
            if ((each->to >> j & 1) != 0) {
                used += snprintf(to + used, sizeof(to) - (size_t)used, " %u", j + 1);
            }
        }
        swarm_say_at(talk->swarm, talk->waiting_ns, "    %u >%s  %s", each->from + 1, to,
                     each->text);
    }
}

__attribute__((format(printf, 4, 5))) static void tell(struct swarm_talk *talk, uint32_t from,
                                                       uint32_t to, const char *format, ...) {
    char text[LINE_BYTES];
    va_list arguments;
    ASSERT(from < SWARM_NODES_MAX && to < SWARM_NODES_MAX);
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    swarm_talk_flush(talk, talk->waiting_count == WAITING_MAX);
    talk->waiting_ns = swarm_time_ns(talk->swarm);
    for (uint32_t i = 0; i < talk->waiting_count; i++) {
        struct waiting *each = &talk->waiting[i];
        if (each->from == from && strcmp(each->text, text) == 0) {
            each->to |= 1U << to;
            return;
        }
    }
    struct waiting *line = &talk->waiting[talk->waiting_count++];
    *line = (struct waiting){.from = from, .to = 1U << to};
    memcpy(line->text, text, sizeof(text));
}

/* Whether this is not what was told last; then it is, from now on. */
static bool is_new(uint64_t *told, uint64_t a, uint64_t b, uint64_t c) {
    uint64_t words[3] = {a, b, c};
    uint64_t hash = checksum_64(words, sizeof(words), 1);
    bool differs = hash != *told;
    *told = hash;
    return differs;
}

/* ---- messages ------------------------------------------------------------------------------- */

static void tell_election(struct swarm_talk *talk, struct way *way, uint32_t from, uint32_t to,
                          const struct raft_message *message) {
    const char *word = raft_message_kind_name(message->kind);
    bool answers =
        message->kind == RAFT_MESSAGE_PRE_VOTE_ANSWER || message->kind == RAFT_MESSAGE_VOTE_ANSWER;
    if (!is_new(&way->told[message->kind], message->term, message->granted, message->transfer)) {
        return;
    }
    if (answers) {
        tell(talk, from, to, "%s: %s, term %" PRIu64, word, message->granted ? "yes" : "no",
             message->term);
    } else {
        tell(talk, from, to,
             "%s? term %" PRIu64 ", its log ends at %" PRIu64 " of term %" PRIu64 "%s", word,
             message->term, message->last_index, message->last_term,
             message->transfer ? ", as the leader wants" : "");
    }
}

static void tell_append(struct swarm_talk *talk, struct way *way, uint32_t from, uint32_t to,
                        const struct raft_message *message) {
    way->entries += message->entry_count;
    if (is_new(&way->told[message->kind], message->term, message->session, 0)) {
        tell(talk, from, to,
             "first append, term %" PRIu64 ": %u %s behind %" PRIu64 " of term %" PRIu64
             ", committed %" PRIu64,
             message->term, message->entry_count, message->entry_count == 1 ? "entry" : "entries",
             message->previous_index, message->previous_term, message->commit);
    }
}

static void tell_append_answer(struct swarm_talk *talk, struct way *way, uint32_t from, uint32_t to,
                               const struct raft_message *message) {
    if (message->granted) {
        if (is_new(&way->told[message->kind], message->term, message->session, 0)) {
            tell(talk, from, to, "first answer, term %" PRIu64 ": has all up to %" PRIu64,
                 message->term, message->match_index);
        }
        return;
    }
    way->refused++;
    if (is_new(&way->told_refusal, message->term, message->session, message->previous_index) &&
        way->refusals_told++ < REFUSALS_TOLD) {
        tell(talk, from, to,
             "refuses an append, term %" PRIu64 ": not behind %" PRIu64 ", try %" PRIu64
             " of term %" PRIu64,
             message->term, message->previous_index, message->hint_index, message->hint_term);
    }
}

static void tell_snapshot(struct swarm_talk *talk, struct way *way, uint32_t from, uint32_t to,
                          const struct raft_message *message) {
    const struct raft_snapshot *snapshot = &message->snapshot;
    bool answers = message->kind == RAFT_MESSAGE_SNAPSHOT_ANSWER;
    if (answers && message->offset < snapshot->size_bytes) {
        return;
    }
    if (is_new(&way->told[message->kind], snapshot->index, snapshot->term, snapshot->size_bytes)) {
        tell(talk, from, to,
             "snapshot up to %" PRIu64 " of term %" PRIu64 ", %" PRIu64 " bytes: %s",
             snapshot->index, snapshot->term, snapshot->size_bytes,
             answers ? "has it all" : "begins");
    }
}

static void message_tell(struct swarm_talk *talk, uint32_t from, uint32_t to,
                         const struct raft_message *message) {
    struct way *way = &talk->ways[from][to];
    ASSERT(message->kind <= RAFT_MESSAGE_TIMEOUT_NOW);
    way->counts[message->kind]++;
    switch (message->kind) {
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_PRE_VOTE_ANSWER:
    case RAFT_MESSAGE_VOTE:
    case RAFT_MESSAGE_VOTE_ANSWER: tell_election(talk, way, from, to, message); break;
    case RAFT_MESSAGE_APPEND: tell_append(talk, way, from, to, message); break;
    case RAFT_MESSAGE_APPEND_ANSWER: tell_append_answer(talk, way, from, to, message); break;
    case RAFT_MESSAGE_SNAPSHOT:
    case RAFT_MESSAGE_SNAPSHOT_ANSWER: tell_snapshot(talk, way, from, to, message); break;
    case RAFT_MESSAGE_TIMEOUT_NOW:
        tell(talk, from, to, "campaign at once, term %" PRIu64, message->term);
        break;
    case RAFT_MESSAGE_HEARTBEAT:
    case RAFT_MESSAGE_HEARTBEAT_ANSWER: break; /* only counted */
    }
}

/* ---- frames --------------------------------------------------------------------------------- */

static void answer_tell(struct swarm_talk *talk, uint32_t from, uint32_t to, const uint8_t *body,
                        uint32_t body_bytes) {
    struct peer_answer answer;
    bool valid = peer_answer_read(body, body_bytes, false, &answer) == PEER_HELLO_VALID ||
                 peer_answer_read(body, body_bytes, true, &answer) == PEER_HELLO_VALID;
    if (valid && is_new(&talk->ways[from][to].told_handshake, answer.result, 0, 0) &&
        answer.result != PEER_ACCEPTED) {
        tell(talk, from, to, "refuses a connection: %s", peer_handshake_name(answer.result));
    }
}

static void frame_tell(struct swarm_talk *talk, uint32_t from, uint32_t to, uint8_t kind,
                       const uint8_t *body, uint32_t body_bytes) {
    struct way *way = &talk->ways[from][to];
    if (kind == PEER_FRAME_HELLO_ANSWER) {
        answer_tell(talk, from, to, body, body_bytes);
    } else if (kind == PEER_FRAME_MESSAGE && peer_digest_is(body, body_bytes)) {
        way->digests++;
    } else if (kind == PEER_FRAME_MESSAGE && body_bytes > 0) {
        struct peer_message_link link = {
            .from = from + 1,
            .to = to + 1,
            .control = body[0] < KINDS && raft_message_is_control((enum raft_message_kind)body[0]),
            .entry_bytes_max = UINT32_MAX - ENTRY_ALIGN_BYTES};
        talk->message.configurations = talk->configurations;
        talk->message.configurations_max = ARRAY_COUNT(talk->configurations);
        if (peer_message_decode(body, body_bytes, &link, &talk->message) == PEER_MESSAGE_VALID) {
            message_tell(talk, from, to, &talk->message.message);
        } else {
            way->unread++;
        }
    }
}

/* Takes the whole frames off a stream. */
static void stream_cut(struct swarm_talk *talk, struct stream *stream, uint32_t from, uint32_t to) {
    size_t at = 0;
    while (!stream->lost && stream->length_bytes - at >= PEER_FRAME_HEADER_BYTES) {
        const uint8_t *frame = stream->bytes + at;
        uint32_t length_bytes = bytes_get_u32(frame);
        if (length_bytes < PEER_FRAME_HEADER_BYTES) {
            stream->lost = true;
            talk->ways[from][to].unread++;
            break;
        }
        if (stream->length_bytes - at < length_bytes) {
            break;
        }
        frame_tell(talk, from, to, frame[FRAME_KIND_OFFSET], frame + PEER_FRAME_HEADER_BYTES,
                   length_bytes - PEER_FRAME_HEADER_BYTES);
        at += length_bytes;
    }
    stream->length_bytes -= at;
    memmove(stream->bytes, stream->bytes + at, stream->length_bytes);
}

/* ---- streams -------------------------------------------------------------------------------- */

/* The stream of these bytes, known or new: then in the place of the one that was silent longest. */
static struct stream *stream_of(struct swarm_talk *talk, const struct world_bytes *bytes) {
    struct stream *oldest = &talk->streams[0];
    for (uint32_t i = 0; i < SWARM_STREAMS; i++) {
        struct stream *each = &talk->streams[i];
        if (each->used != 0 && each->connection == bytes->connection &&
            each->opener == bytes->opener) {
            return each;
        }
        oldest = each->used < oldest->used ? each : oldest;
    }
    oldest->connection = bytes->connection;
    oldest->opener = bytes->opener;
    oldest->length_bytes = 0;
    oldest->lost = false;
    return oldest;
}

static void stream_add(struct stream *stream, const uint8_t *bytes, uint32_t length_bytes) {
    size_t wanted = stream->length_bytes + length_bytes;
    if (wanted > stream->capacity_bytes) {
        stream->capacity_bytes = 2 * wanted;
        stream->bytes = realloc(stream->bytes, stream->capacity_bytes);
        ASSERT(stream->bytes != NULL);
    }
    memcpy(stream->bytes + stream->length_bytes, bytes, length_bytes);
    stream->length_bytes = wanted;
}

static uint32_t index_of(const struct swarm *swarm, uint32_t host) {
    uint32_t index = 0;
    while (swarm->hosts[index] != host) {
        index++;
        ASSERT(index < swarm->plan->node_count);
    }
    return index;
}

static void bytes_heard(void *context, const struct world_bytes *bytes) {
    struct swarm_talk *talk = context;
    uint32_t from = index_of(talk->swarm, bytes->from);
    uint32_t to = index_of(talk->swarm, bytes->to);
    struct way *way = &talk->ways[from][to];
    if (bytes->arrived) {
        way->arrived_bytes += bytes->length_bytes;
        return;
    }
    way->sent_bytes += bytes->length_bytes;
    struct stream *stream = stream_of(talk, bytes);
    stream->used = ++talk->clock;
    if (!stream->lost) {
        stream_add(stream, bytes->bytes, bytes->length_bytes);
        stream_cut(talk, stream, from, to);
    }
}

struct swarm_talk *swarm_talk_create(struct swarm *swarm) {
    struct swarm_talk *talk = calloc(1, sizeof(*talk));
    ASSERT(talk != NULL && swarm->world != NULL);
    talk->swarm = swarm;
    world_listen(swarm->world, bytes_heard, talk);
    return talk;
}

void swarm_talk_destroy(struct swarm_talk *talk) {
    if (talk == NULL) {
        return;
    }
    world_listen(talk->swarm->world, NULL, NULL);
    for (uint32_t i = 0; i < SWARM_STREAMS; i++) {
        free(talk->streams[i].bytes);
    }
    free(talk);
}

/* ---- seconds -------------------------------------------------------------------------------- */

/* "41 append (57 entries), 20 heartbeat"; "" if nothing was sent. */
static void way_print(const struct way *way, char *text, size_t text_bytes) {
    text[0] = '\0';
    for (uint32_t kind = RAFT_MESSAGE_PRE_VOTE; kind < KINDS; kind++) {
        if (way->counts[kind] == 0) {
            continue;
        }
        swarm_text_add(text, text_bytes, "%s%" PRIu64 " %s", text[0] == '\0' ? "" : ", ",
                       way->counts[kind], raft_message_kind_name((enum raft_message_kind)kind));
        if (kind == RAFT_MESSAGE_APPEND) {
            swarm_text_add(text, text_bytes, " (%" PRIu64 " entries)", way->entries);
        } else if (kind == RAFT_MESSAGE_APPEND_ANSWER && way->refused > 0) {
            swarm_text_add(text, text_bytes, " (%" PRIu64 " refused)", way->refused);
        }
    }
    if (way->digests > 0) {
        swarm_text_add(text, text_bytes, "%s%" PRIu64 " digest", text[0] == '\0' ? "" : ", ",
                       way->digests);
    }
    if (way->unread > 0) {
        swarm_text_add(text, text_bytes, "%s%" PRIu64 " not understood",
                       text[0] == '\0' ? "" : ", ", way->unread);
    }
    if (way->arrived_bytes < way->sent_bytes / 2) {
        swarm_text_add(text, text_bytes, "%s%" PRIu64 " of %" PRIu64 " bytes arrived",
                       text[0] == '\0' ? "" : "; only ", way->arrived_bytes, way->sent_bytes);
    }
}

void swarm_talk_second(struct swarm_talk *talk) {
    uint32_t count = talk->swarm->plan->node_count;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = i + 1; j < count; j++) {
            char there[LINE_BYTES];
            char back[LINE_BYTES];
            way_print(&talk->ways[i][j], there, sizeof(there));
            way_print(&talk->ways[j][i], back, sizeof(back));
            if (there[0] != '\0') {
                swarm_say_more(talk->swarm, "%u>%u  %s", i + 1, j + 1, there);
            }
            if (back[0] != '\0') {
                swarm_say_more(talk->swarm, "%u>%u  %s", j + 1, i + 1, back);
            }
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < count; j++) {
            memset(&talk->ways[i][j], 0, offsetof(struct way, told));
        }
    }
}
