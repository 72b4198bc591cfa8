/*
 * The table of client sessions: what it refuses, its window, its bounds, its snapshots; and random
 * use compared with a model that keeps everything and looks at everything.
 */

#include "stages/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/random.h"
#include "tests/cmocka_wrapper.h"

enum {
    LIFETIME_MS = 1000,
    IMAGE_BYTES = 64 * 1024 * 1024,   /* a snapshot of a full table */
    IMAGE_BYTES_OF_THREE = 64 * 1024, /* of three sessions: each three replies, 3.3 KB together */
};

static struct sessions *make(void) {
    struct sessions *sessions = NULL;
    assert_int_equal(sessions_create(&sessions), WEIR_OK);
    return sessions;
}

static struct session_moment at(uint64_t index, uint64_t log_time_ms) {
    return (struct session_moment){.index = index, .log_time_ms = log_time_ms};
}

/* A well-formed reply stream of that length. */
static uint8_t *stream(uint32_t length_bytes, uint64_t stamp) {
    static uint8_t room[SESSION_REPLY_BYTES_MAX + 4096];
    struct reply_writer writer;
    memset(room, 0, sizeof(room));
    reply_begin(&writer, room, sizeof(room));
    if (length_bytes == REPLY_HEADER_BYTES + REPLY_INTEGER_SLACK_BYTES) {
        reply_integer(&writer, (int64_t)stamp);
    } else {
        uint32_t extra = REPLY_HEADER_BYTES + REPLY_BULK_SLACK_BYTES;
        uint8_t *value = reply_bulk_reserve(&writer, length_bytes - extra);
        memset(value, (int)(stamp % 251), length_bytes - extra);
        reply_bulk_commit(&writer, length_bytes - extra);
    }
    assert_int_equal(reply_used_bytes(&writer), length_bytes);
    return room;
}

static enum session_verdict use(struct sessions *sessions, uint32_t slot, uint64_t sequence,
                                uint64_t hash) {
    struct session_moment moment = at(1000, 0);
    const uint8_t *reply;
    uint32_t reply_bytes;
    return sessions_use(sessions, slot, &moment, sequence, hash, &reply, &reply_bytes);
}

/* Uses a sequence for the first time. */
static void apply(struct sessions *sessions, uint32_t slot, uint64_t sequence,
                  uint32_t reply_bytes) {
    assert_int_equal(use(sessions, slot, sequence, sequence), SESSION_NEW);
    sessions_remember(sessions, slot, sequence, sequence, stream(reply_bytes, sequence),
                      reply_bytes);
}

static uint32_t open(struct sessions *sessions, uint64_t id, uint64_t log_time_ms) {
    struct session_moment moment = at(id, log_time_ms);
    sessions_open(sessions, &moment, LIFETIME_MS);
    uint32_t slot = sessions_find(sessions, id, log_time_ms);
    assert_int_not_equal(slot, SESSION_NONE);
    return slot;
}

/* ---- a sink, and a whole snapshot ----------------------------------------------------------- */

struct image {
    uint8_t *bytes;
    size_t used;
    size_t capacity;
    uint32_t full_count; /* refuse so many times first */
};

static uint8_t *image_reserve(void *context, uint32_t length_bytes) {
    struct image *image = context;
    if (image->full_count > 0) {
        image->full_count--;
        return NULL;
    }
    assert_true(image->used + length_bytes <= image->capacity);
    memset(image->bytes + image->used, 0xee, length_bytes);
    return image->bytes + image->used;
}

static void image_commit(void *context, uint32_t length_bytes) {
    ((struct image *)context)->used += length_bytes;
}

static struct machine_sink image_sink(struct image *image) {
    return (struct machine_sink){
        .context = image, .reserve = image_reserve, .commit = image_commit};
}

static struct image image_make(size_t capacity) {
    struct image image = {.capacity = capacity};
    image.bytes = malloc(image.capacity);
    assert_non_null(image.bytes);
    return image;
}

static void emit_all(struct sessions *sessions, struct image *image) {
    struct machine_sink sink = image_sink(image);
    while (sessions_emit_on(sessions, &sink) == MACHINE_MORE) {
    }
}

/* ---- the invalid cases ----------------------------------------------------------------------- */

static void a_session_that_was_not_opened_or_has_expired_is_not_found(void **state) {
    (void)state;
    struct sessions *sessions = make();
    assert_int_equal(sessions_find(sessions, 0, 0), SESSION_NONE);
    assert_int_equal(sessions_find(sessions, 7, 0), SESSION_NONE);
    uint32_t slot = open(sessions, 7, 50);
    assert_int_equal(sessions_find(sessions, 8, 50), SESSION_NONE);
    assert_int_equal(sessions_find(sessions, 7, 50 + LIFETIME_MS - 1), slot);
    assert_int_equal(sessions_find(sessions, 7, 50 + LIFETIME_MS), SESSION_NONE);
    assert_int_equal(sessions_find(sessions, 7, UINT64_MAX), SESSION_NONE);
    /* Any use, whatever its verdict, prolongs it. */
    struct session_moment moment = at(9, 500);
    const uint8_t *reply;
    uint32_t reply_bytes;
    sessions_use(sessions, slot, &moment, 1, 1, &reply, &reply_bytes);
    assert_int_equal(sessions_find(sessions, 7, 500 + LIFETIME_MS - 1), slot);
    assert_int_equal(sessions_find(sessions, 7, 500 + LIFETIME_MS), SESSION_NONE);
    sessions_destroy(sessions);
}

static void another_command_and_what_is_below_the_window_are_told_apart(void **state) {
    (void)state;
    struct sessions *sessions = make();
    uint32_t slot = open(sessions, 7, 0);
    apply(sessions, slot, 5, 24);
    assert_int_equal(use(sessions, slot, 5, 6), SESSION_OTHER_COMMAND);
    assert_int_equal(use(sessions, slot, 5, 5), SESSION_REPEATED);
    apply(sessions, slot, 5 + SESSION_WINDOW - 1, 24);
    assert_int_equal(use(sessions, slot, 5, 5), SESSION_REPEATED);
    assert_int_equal(use(sessions, slot, 4, 4), SESSION_TOO_OLD);
    apply(sessions, slot, 6, 24); /* a gap may be filled */
    apply(sessions, slot, 5 + SESSION_WINDOW, 24);
    assert_int_equal(use(sessions, slot, 5, 5), SESSION_TOO_OLD);
    assert_int_equal(use(sessions, slot, 5, 6), SESSION_TOO_OLD);
    apply(sessions, slot, SESSION_NUMBER_MAX, 24);
    assert_int_equal(use(sessions, slot, 5 + SESSION_WINDOW, 133), SESSION_TOO_OLD);
    apply(sessions, slot, SESSION_NUMBER_MAX - 1, 24);
    sessions_destroy(sessions);
}

static void replies_up_to_the_limit_are_kept_and_longer_ones_are_not(void **state) {
    (void)state;
    struct sessions *sessions = make();
    uint32_t slot = open(sessions, 7, 0);
    const uint32_t lengths[] = {24, SESSION_REPLY_INLINE_BYTES, SESSION_REPLY_INLINE_BYTES + 1,
                                SESSION_REPLY_BYTES_MAX, SESSION_REPLY_BYTES_MAX + 1};
    for (uint32_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        apply(sessions, slot, i + 1, lengths[i]);
    }
    for (uint32_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        struct session_moment moment = at(9, 0);
        const uint8_t *reply;
        uint32_t reply_bytes;
        enum session_verdict verdict =
            sessions_use(sessions, slot, &moment, i + 1, i + 1, &reply, &reply_bytes);
        bool kept = lengths[i] <= SESSION_REPLY_BYTES_MAX;
        assert_int_equal(verdict, kept ? SESSION_REPEATED : SESSION_REPEATED_NOT_KEPT);
        assert_int_equal(reply_bytes, kept ? lengths[i] : 0);
        if (kept) {
            assert_memory_equal(reply, stream(lengths[i], i + 1), lengths[i]);
        }
    }
    sessions_destroy(sessions);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static void when_it_is_full_an_expired_one_goes_or_the_one_unused_longest(void **state) {
    (void)state;
    struct sessions *sessions = make();
    bool expired = true;
    for (uint64_t id = 1; id <= SESSIONS_MAX; id++) {
        assert_int_equal(sessions_victim(sessions, 0, &expired), SESSION_NONE);
        open(sessions, id, id);
    }
    assert_int_equal(sessions_count(sessions), SESSIONS_MAX);
    uint32_t first = sessions_find(sessions, 1, 0);
    assert_int_equal(sessions_victim(sessions, 0, &expired), first);
    assert_false(expired);
    struct session_moment moment = at(SESSIONS_MAX + 1, SESSIONS_MAX);
    const uint8_t *reply;
    uint32_t reply_bytes;
    sessions_use(sessions, first, &moment, 1, 1, &reply, &reply_bytes);
    assert_int_equal(sessions_victim(sessions, 0, &expired), sessions_find(sessions, 2, 0));
    assert_false(expired);
    uint32_t victim = sessions_victim(sessions, 10 + LIFETIME_MS, &expired);
    assert_true(expired);
    assert_true(victim >= sessions_find(sessions, 2, 0) &&
                victim <= sessions_find(sessions, 10, 0));
    sessions_remove(sessions, victim);
    assert_int_equal(sessions_victim(sessions, 0, &expired), SESSION_NONE);
    /* The sweep finds the nine that have expired, and then no more. */
    uint32_t swept = 0;
    for (uint32_t i = 0; i < 2 * SESSIONS_MAX; i++) {
        swept += sessions_sweep(sessions, 10 + LIFETIME_MS, 8);
    }
    assert_int_equal(swept, 8);
    assert_int_equal(sessions_count(sessions), SESSIONS_MAX - 9);
    sessions_destroy(sessions);
}

static void when_no_cell_is_free_expired_sessions_give_theirs_or_replies_are_not_kept(
    void **state) {
    (void)state;
    struct sessions *sessions = make();
    enum { HOLDERS = SESSION_CELLS / SESSION_WINDOW };
    for (uint64_t id = 1; id <= HOLDERS; id++) {
        uint32_t slot = open(sessions, id, id == 1 ? 0 : 500);
        for (uint64_t sequence = 1; sequence <= SESSION_WINDOW; sequence++) {
            struct session_moment moment = at(id, id == 1 ? 0 : 500);
            const uint8_t *reply;
            uint32_t reply_bytes;
            assert_int_equal(
                sessions_use(sessions, slot, &moment, sequence, 1, &reply, &reply_bytes),
                SESSION_NEW);
            assert_true(sessions_remember(sessions, slot, sequence, 1, stream(100, 1), 100));
        }
    }
    uint32_t late = open(sessions, HOLDERS + 1, 999);
    assert_int_equal(sessions_cell_victim(sessions, 999, 100), SESSION_NONE);
    assert_false(sessions_remember(sessions, late, 1, 1, stream(100, 1), 100));
    assert_true(sessions_remember(sessions, late, 2, 1, stream(24, 1), 24));
    assert_int_equal(sessions_cell_victim(sessions, 1000, 24), SESSION_NONE);
    assert_int_equal(sessions_cell_victim(sessions, 1000, SESSION_REPLY_BYTES_MAX + 1),
                     SESSION_NONE);
    uint32_t victim = sessions_cell_victim(sessions, 1000, 100);
    assert_int_equal(victim, 0);
    sessions_remove(sessions, victim);
    assert_int_equal(sessions_cell_victim(sessions, 1000, 100), SESSION_NONE);
    assert_true(sessions_remember(sessions, late, 3, 1, stream(100, 1), 100));
    /* Who needs no more than it has gets its own cell back. */
    sessions_destroy(sessions);
}

/* ---- random use, and snapshots --------------------------------------------------------------- */

enum { MODEL_SESSIONS = 12, MODEL_SEQUENCES = 600 };

/* Everything, for ever. */
struct model {
    uint64_t id[MODEL_SESSIONS]; /* 0: not open */
    uint64_t used_ms[MODEL_SESSIONS];
    uint64_t highest[MODEL_SESSIONS];
    struct {
        bool used;
        uint64_t hash;
        uint32_t reply_bytes;
    } sequence[MODEL_SESSIONS][MODEL_SEQUENCES];
};

static enum session_verdict model_use(const struct model *model, uint32_t i, uint64_t sequence,
                                      uint64_t hash) {
    if (sequence + SESSION_WINDOW <= model->highest[i]) {
        return SESSION_TOO_OLD;
    }
    if (!model->sequence[i][sequence].used) {
        return SESSION_NEW;
    }
    if (model->sequence[i][sequence].hash != hash) {
        return SESSION_OTHER_COMMAND;
    }
    return model->sequence[i][sequence].reply_bytes > 0 ? SESSION_REPEATED
                                                        : SESSION_REPEATED_NOT_KEPT;
}

/* One random step on table and model alike. */
static void step(struct sessions *sessions, struct model *model, struct random *random,
                 uint64_t index, uint64_t now_ms, struct image *image) {
    uint32_t i = (uint32_t)random_below(random, MODEL_SESSIONS);
    struct machine_sink sink = image_sink(image);
    bool lives = model->id[i] != 0 && now_ms < model->used_ms[i] + LIFETIME_MS;
    uint32_t slot =
        model->id[i] == 0 ? SESSION_NONE : sessions_find(sessions, model->id[i], now_ms);
    assert_true(lives == (slot != SESSION_NONE));
    struct session_moment moment = at(index, now_ms);
    if (!lives) {
        sessions_open(sessions, &moment, LIFETIME_MS);
        model->id[i] = index;
        model->used_ms[i] = now_ms;
        model->highest[i] = 0;
        memset(model->sequence[i], 0, sizeof(model->sequence[i]));
        return;
    }
    if (sessions_needs_emit(sessions, slot)) {
        assert_true(sessions_emit(sessions, slot, &sink));
    }
    uint64_t base = model->highest[i] > 200 ? model->highest[i] - 200 : 1;
    uint64_t sequence = base + random_below(random, 220);
    sequence = sequence < MODEL_SEQUENCES ? sequence : MODEL_SEQUENCES - 1;
    uint64_t hash = sequence + random_below(random, 8) / 7;
    const uint8_t *reply;
    uint32_t reply_bytes;
    enum session_verdict wanted = model_use(model, i, sequence, hash);
    assert_int_equal(sessions_use(sessions, slot, &moment, sequence, hash, &reply, &reply_bytes),
                     wanted);
    model->used_ms[i] = now_ms;
    if (wanted == SESSION_REPEATED) {
        assert_int_equal(reply_bytes, model->sequence[i][sequence].reply_bytes);
        assert_memory_equal(reply, stream(reply_bytes, hash), reply_bytes);
    } else if (wanted == SESSION_NEW) {
        const uint32_t lengths[] = {24, 24, 30, 100, SESSION_REPLY_BYTES_MAX, 3000};
        uint32_t length = lengths[random_below(random, ARRAY_COUNT(lengths))];
        bool kept = sessions_remember(sessions, slot, sequence, hash, stream(length, hash), length);
        assert_true(kept == (length <= SESSION_REPLY_BYTES_MAX));
        model->sequence[i][sequence].used = true;
        model->sequence[i][sequence].hash = hash;
        model->sequence[i][sequence].reply_bytes = kept ? length : 0;
        if (sequence > model->highest[i]) {
            model->highest[i] = sequence;
        }
    }
}

static void random_use_equals_the_model_over_snapshots_taken_meanwhile(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 41);
    struct model *model = calloc(1, sizeof(*model));
    struct model *then = calloc(1, sizeof(*then));
    struct image image = image_make(IMAGE_BYTES);
    struct sessions *sessions = make();
    uint64_t now_ms = 1;
    uint64_t index = 1;
    for (int round = 0; round < 60; round++) {
        image.used = 0;
        image.full_count = (uint32_t)random_below(&random, 3);
        uint64_t announced = sessions_snapshot_begin(sessions);
        *then = *model;
        uint64_t then_ms = now_ms;
        image.full_count = 0;
        /* Changes while it is being written. */
        for (uint64_t i = random_below(&random, 300); i > 0; i--) {
            now_ms += random_below(&random, 12);
            step(sessions, model, &random, ++index, now_ms, &image);
        }
        emit_all(sessions, &image);
        sessions_snapshot_end(sessions);
        assert_true(image.used == announced);
        /* Some go on with what was restored: as of then. */
        if (round % 3 == 0) {
            sessions_destroy(sessions);
            sessions = make();
            assert_int_equal(sessions_restore(sessions, image.bytes, image.used), WEIR_OK);
            *model = *then;
            now_ms = then_ms;
        }
        for (int i = 0; i < 500; i++) {
            now_ms += random_below(&random, 4) == 0 ? random_below(&random, 20) : 0;
            step(sessions, model, &random, ++index, now_ms, &image);
            sessions_sweep(sessions, now_ms, 3);
        }
    }
    sessions_destroy(sessions);
    free(image.bytes);
    free(model);
    free(then);
}

static void a_full_sink_is_asked_again_and_an_abandoned_snapshot_leaves_nothing(void **state) {
    (void)state;
    struct sessions *sessions = make();
    struct image image = image_make(IMAGE_BYTES);
    struct machine_sink sink = image_sink(&image);
    uint32_t slot = open(sessions, 7, 0);
    apply(sessions, slot, 1, 24);
    image.full_count = 2;
    assert_true(sessions_snapshot_begin(sessions) > 0);
    assert_true(sessions_needs_emit(sessions, slot));
    assert_false(sessions_emit(sessions, slot, &sink));
    assert_int_equal(sessions_emit_on(sessions, &sink), MACHINE_MORE);
    sessions_snapshot_end(sessions);
    assert_false(sessions_needs_emit(sessions, slot));
    assert_int_equal(image.used, 0);
    uint64_t announced = sessions_snapshot_begin(sessions);
    uint32_t fresh = open(sessions, 8, 0); /* is not of it */
    assert_false(sessions_needs_emit(sessions, fresh));
    emit_all(sessions, &image);
    assert_true(image.used == announced);
    free(image.bytes);
    sessions_destroy(sessions);
}

/* Any byte altered: refused, or restored to something that can be used and emitted again. */
static void records_that_are_none_are_refused(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 42);
    struct sessions *sessions = make();
    struct image image = image_make(IMAGE_BYTES_OF_THREE);
    for (uint64_t id = 1; id <= 3; id++) {
        uint32_t slot = open(sessions, id, 0);
        apply(sessions, slot, 1, 24);
        apply(sessions, slot, 2, 200);
        apply(sessions, slot, 3, 3000);
    }
    sessions_snapshot_begin(sessions);
    emit_all(sessions, &image);
    sessions_destroy(sessions);
    uint32_t refused = 0;
    uint8_t *altered = malloc(image.used);
    for (uint32_t i = 0; i < 600; i++) {
        memcpy(altered, image.bytes, image.used);
        size_t length = image.used;
        if (i % 4 == 0) {
            length = random_below(&random, image.used);
        } else {
            altered[random_below(&random, 3) * (image.used / 3) + random_below(&random, 72)] ^=
                (uint8_t)(1u << random_below(&random, 8));
        }
        sessions = make();
        int result = sessions_restore(sessions, altered, length);
        assert_true(result == WEIR_OK || result == WEIR_ECORRUPT);
        refused += result == WEIR_ECORRUPT;
        if (result == WEIR_OK) {
            struct image again = image_make(IMAGE_BYTES_OF_THREE);
            assert_true(sessions_snapshot_begin(sessions) == length);
            emit_all(sessions, &again);
            free(again.bytes);
        }
        sessions_destroy(sessions);
    }
    assert_true(refused > 200 && refused < 500);
    free(altered);
    free(image.bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_that_was_not_opened_or_has_expired_is_not_found),
        cmocka_unit_test(another_command_and_what_is_below_the_window_are_told_apart),
        cmocka_unit_test(replies_up_to_the_limit_are_kept_and_longer_ones_are_not),
        cmocka_unit_test(when_it_is_full_an_expired_one_goes_or_the_one_unused_longest),
        cmocka_unit_test(when_no_cell_is_free_expired_sessions_give_theirs_or_replies_are_not_kept),
        cmocka_unit_test(a_full_sink_is_asked_again_and_an_abandoned_snapshot_leaves_nothing),
        cmocka_unit_test(random_use_equals_the_model_over_snapshots_taken_meanwhile),
        cmocka_unit_test(records_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
