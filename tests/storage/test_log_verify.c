/*
 * Torn or corrupt: every byte of a cleanly stopped log flipped, and of a last write that nothing
 * records, every combination of lost sectors of that write, and every way in which files go
 * missing, change places or grow.
 */

#include "tests/storage/fixture.h"
#include "tests/storage/images.h"

#include "base/bytes.h"
#include "base/random.h"
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

static const char path[] = "data";

struct verify_test {
    struct world *world;
    struct fixture fixture;
    struct owner owner;
};

static void test_begin(struct verify_test *test, uint64_t seed, uint32_t alignment_bytes) {
    struct world_options options = world_options_calm();
    options.disk_alignment_bytes = alignment_bytes;
    test->world = world_create(seed, &options);
    fixture_open(&test->fixture, world_io(test->world, world_node_add(test->world)), path, true);
    test->owner = owner_of(&test->fixture.identity);
    assert_int_equal(fixture_log_open(&test->fixture, NULL), 0);
}

static void test_take(struct verify_test *test, struct images *images) {
    images_take(images, test->world, 0, path, &test->owner);
}

static void test_end(struct verify_test *test, struct images *images) {
    images_free(images);
    while (test->fixture.log != NULL && io_outstanding(test->fixture.port) > 0)
        fixture_complete_one(&test->fixture);
    if (test->fixture.log != NULL)
        log_close(test->fixture.log);
    world_destroy(test->world);
    fixture_open_count = 0;
}

static void append_and_settle(struct fixture *fixture, uint32_t count, uint32_t bytes) {
    for (uint32_t i = 0; i < count; i++)
        fixture_append_surely(fixture, bytes + i % 3);
    fixture_settle(fixture);
    log_release(fixture->log, log_last_index(fixture->log));
}

/* Flips one bit of byte `at` of one image; the flip must be refused as a fault of that image. */
static struct verdict flip_judge(const struct images *images, uint32_t which, uint64_t at) {
    uint8_t *bytes = images->bytes[which];
    const uint8_t bit = (uint8_t)(1 << (at * 5 + at / 8) % 8);
    bytes[at] ^= bit;
    const struct verdict verdict = images_judge(images);
    bytes[at] ^= bit;
    if (verdict.error == 0)
        fail_msg("the flip at %llu of segment %u was not seen", (unsigned long long)at, which);
    assert_int_equal(verdict.faulty, which);
    assert_non_null(verdict.fault.reason);
    return verdict;
}

/* Flips each byte of [0, end) of one image; each flip must be refused near where it is. */
/* Under a sanitizer every seventh byte: what it looks for does not hang on which one it is. */
enum { FLIP_STRIDE = WEIR_SANITIZER_BUILD ? 7 : 1 };

static void flip_all(const struct images *images, uint32_t which, uint64_t end) {
    for (uint64_t i = 0; i < end; i += FLIP_STRIDE) {
        const struct verdict verdict = flip_judge(images, which, i);
        /* The sector, or the fixed part of the header that it belongs to. */
        assert_true(verdict.fault.offset / 512 <= i / 512);
    }
}

static void every_byte_of_a_stopped_log_counts(void **state) {
    (void)state;
    static const uint32_t alignments[] = {512, 4096};
    for (size_t i = 0; i < ARRAY_COUNT(alignments); i++) {
        struct verify_test test;
        struct images images;
        test_begin(&test, 1 + i, alignments[i]);
        append_and_settle(&test.fixture, 5, 100);
        append_and_settle(&test.fixture, 40, 100);
        append_and_settle(&test.fixture, 1, 60000); /* its table needs a second header sector */
        append_and_settle(&test.fixture, 2, 10);
        fixture_log_stop(&test.fixture);
        test_take(&test, &images);
        const struct verdict verdict = images_judge(&images);
        assert_int_equal(verdict.error, 0);
        assert_false(verdict.torn);
        assert_true(verdict.tail.index == 49);
        /* A clean stop records all of it. */
        assert_true(verdict.durable_offset == verdict.entries_end);
        assert_true(verdict.entries_end > 64000);
        flip_all(&images, 0, verdict.end_offset); /* with the mark that records it */
        test_end(&test, &images);
    }
}

static void every_live_byte_counts_after_a_truncation(void **state) {
    (void)state;
    struct verify_test test;
    struct images images;
    test_begin(&test, 3, 512);
    append_and_settle(&test.fixture, 5, 100);
    append_and_settle(&test.fixture, 5, 100);
    struct images before;
    test_take(&test, &before);
    const uint64_t live_end = images_judge(&before).entries_end;
    images_free(&before);
    append_and_settle(&test.fixture, 5, 100); /* 12 to 16: these will be void */
    log_truncate(test.fixture.log, 11);
    fixture_settle(&test.fixture);
    test.fixture.term++;
    append_and_settle(&test.fixture, 7, 100);
    fixture_log_stop(&test.fixture);
    test_take(&test, &images);
    struct verdict verdict = images_judge(&images);
    assert_int_equal(verdict.error, 0);
    assert_true(verdict.tail.index == 18 && images.count >= 2);
    flip_all(&images, 0, live_end);
    flip_all(&images, 1, verdict.durable_offset);
    /* What is void is not looked at. */
    images.bytes[0][live_end] ^= 1;
    assert_int_equal(images_judge(&images).error, 0);
    test_end(&test, &images);
}

/* Flips each byte of a last write of one entry, which nothing on the disk says was ever durable. */
static void unrecorded_write_judge(uint32_t alignment_bytes, uint32_t entry_bytes) {
    struct verify_test test;
    struct images images;
    test_begin(&test, 13, alignment_bytes);
    append_and_settle(&test.fixture, 3, 100);
    test_take(&test, &images);
    const uint64_t begin = images_judge(&images).end_offset;
    images_free(&images);
    append_and_settle(&test.fixture, 1, entry_bytes);
    assert_true(log_durable_index(test.fixture.log) == 5);
    test_take(&test, &images);
    const struct verdict whole = images_judge(&images);
    assert_true(whole.error == 0 && !whole.torn && whole.tail.index == 5);
    assert_true(whole.durable_offset <= begin && whole.end_offset >= begin + entry_bytes);
    for (uint64_t i = begin; i < whole.end_offset; i += FLIP_STRIDE) {
        const struct verdict verdict = flip_judge(&images, 0, i);
        assert_int_equal(verdict.error, WEIR_ECORRUPT);
        assert_true(verdict.fault.offset / 512 == i / 512);
    }
    test_end(&test, &images);
}

static void every_byte_of_an_unrecorded_last_write_counts(void **state) {
    (void)state;
    static const uint32_t alignments[] = {512, 4096};
    for (size_t i = 0; i < ARRAY_COUNT(alignments); i++) {
        unrecorded_write_judge(alignments[i], 100);
        unrecorded_write_judge(alignments[i], 3900);
        unrecorded_write_judge(alignments[i], 60000); /* with a second header sector */
    }
}

/* The sectors of the last write, lost in every combination: whole, or torn, never corrupt. */
static void lost_sectors_judge(uint32_t entry_bytes, uint32_t sectors_expected) {
    struct verify_test test;
    struct images images;
    test_begin(&test, 4, 512);
    append_and_settle(&test.fixture, 3, 100);
    struct images before;
    test_take(&test, &before);
    const struct verdict earlier = images_judge(&before);
    images_free(&before);
    append_and_settle(&test.fixture, 1, entry_bytes);
    test_take(&test, &images);
    const struct verdict whole = images_judge(&images);
    const uint64_t begin = earlier.end_offset;
    const uint32_t sectors = (uint32_t)((whole.end_offset - begin) / 512);
    assert_int_equal(sectors, sectors_expected);
    uint8_t *write = malloc((size_t)sectors * 512);
    memcpy(write, images.bytes[0] + begin, (size_t)sectors * 512);
    uint32_t zero_mask = 0; /* sectors that are zeros anyway: lost or not, nobody can tell */
    for (uint32_t i = 0; i < sectors; i++)
        zero_mask |= (uint32_t)format_all_zero(write + (size_t)i * 512, 512) << i;

    const bool is_sampled = sectors > 10;
    struct random random;
    random_seed(&random, 9);
    const uint32_t all = (UINT32_C(1) << sectors) - 1;
    const uint32_t rounds = is_sampled ? (WEIR_SANITIZER_BUILD ? 250 : 1000) : all + 1;
    uint32_t torn_count = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        const uint32_t kept = is_sampled ? (uint32_t)random_u64(&random) & all : round;
        for (uint32_t i = 0; i < sectors; i++) {
            uint8_t *sector = images.bytes[0] + begin + (size_t)i * 512;
            if (kept & 1u << i)
                memcpy(sector, write + (size_t)i * 512, 512);
            else
                memset(sector, 0, 512);
        }
        const struct verdict verdict = images_judge(&images);
        assert_int_equal(verdict.error, 0);
        const bool is_whole = (kept | zero_mask) == all;
        const bool is_gone = (kept & ~zero_mask) == 0;
        assert_true(verdict.torn == (!is_whole && !is_gone));
        assert_true(verdict.tail.index == (is_whole ? 5 : 4));
        torn_count += verdict.torn;
    }
    assert_true(torn_count >= rounds / 2);
    free(write);
    test_end(&test, &images);
}

static void lost_sectors_of_the_last_write_are_a_torn_tail(void **state) {
    (void)state;
    lost_sectors_judge(100, 2);
    lost_sectors_judge(2000, 6);
    lost_sectors_judge(3900, 9);
    lost_sectors_judge(12000, 25);
}

/* The last write of a log, with an entry so long that its table needs three header sectors. */
static uint8_t *long_write_make(struct verify_test *test, struct images *images) {
    test_begin(test, 5, 512);
    append_and_settle(&test->fixture, 1, 100);
    test_take(test, images);
    const uint64_t begin = images_judge(images).end_offset;
    images_free(images);
    append_and_settle(&test->fixture, 1, 150000);
    test_take(test, images);
    assert_true(images_judge(images).tail.index == 3);
    uint8_t *write = images->bytes[0] + begin;
    assert_int_equal(bytes_get_u16(write + 6), 3);
    return write;
}

static void a_lost_further_header_sector_is_a_torn_tail(void **state) {
    (void)state;
    struct verify_test test;
    struct images images;
    uint8_t *write = long_write_make(&test, &images);
    uint8_t saved[512];
    for (size_t lost = 1; lost < 3; lost++) {
        memcpy(saved, write + lost * 512, 512);
        memset(write + lost * 512, 0, 512);
        struct verdict verdict = images_judge(&images);
        assert_int_equal(verdict.error, 0);
        assert_true(verdict.torn && verdict.tail.index == 2);
        /* The sectors that only the lost one could vouch for are not looked at. */
        write[(3 - lost) * 512 + 40] ^= 1;
        verdict = images_judge(&images);
        assert_true(verdict.error == 0 && verdict.torn);
        write[(3 - lost) * 512 + 40] ^= 1;
        memcpy(write + lost * 512, saved, 512);
    }
    assert_true(images_judge(&images).tail.index == 3);
    test_end(&test, &images);
}

static void an_altered_further_header_sector_is_corruption(void **state) {
    (void)state;
    struct verify_test test;
    struct images images;
    uint8_t *write = long_write_make(&test, &images);
    const uint64_t begin = (uint64_t)(write - images.bytes[0]);
    for (size_t altered = 1; altered < 3; altered++) {
        write[altered * 512 + 40] ^= 1;
        const struct verdict verdict = images_judge(&images);
        assert_int_equal(verdict.error, WEIR_ECORRUPT);
        assert_true(verdict.fault.offset == begin + altered * 512);
        write[altered * 512 + 40] ^= 1;
    }
    test_end(&test, &images);
}

static void an_altered_sector_of_the_last_write_is_corruption(void **state) {
    (void)state;
    struct verify_test test;
    struct images images;
    test_begin(&test, 6, 512);
    append_and_settle(&test.fixture, 3, 100);
    append_and_settle(&test.fixture, 1, 2000);
    test_take(&test, &images); /* not stopped: nothing records the last write as durable */
    const struct verdict whole = images_judge(&images);
    images.bytes[0][whole.end_offset - 1000] ^= 1;
    const struct verdict verdict = images_judge(&images);
    assert_int_equal(verdict.error, WEIR_ECORRUPT);
    assert_true(verdict.fault.offset / 512 == (whole.end_offset - 1000) / 512);
    test_end(&test, &images);
}

/* Sectors behind one that reads as zeros may be those of a write whose header was lost. */
static void sectors_behind_a_missing_header_are_cut(void **state) {
    (void)state;
    struct verify_test test;
    struct images images;
    test_begin(&test, 7, 512);
    append_and_settle(&test.fixture, 3, 100);
    fixture_log_stop(&test.fixture);
    test_take(&test, &images);
    const struct verdict whole = images_judge(&images);
    memset(images.bytes[0] + whole.end_offset + 700, 0x5a, 900);
    struct verdict verdict = images_judge(&images);
    assert_int_equal(verdict.error, 0);
    assert_true(verdict.torn && verdict.tail.index == 4);
    test_end(&test, &images);
}

static void garbage_in_the_place_of_a_header_is_corruption(void **state) {
    (void)state;
    static const uint32_t places[] = {0, 3, 300, 511};
    struct verify_test test;
    struct images images;
    test_begin(&test, 7, 512);
    append_and_settle(&test.fixture, 3, 100);
    fixture_log_stop(&test.fixture);
    test_take(&test, &images);
    const struct verdict whole = images_judge(&images);
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        uint8_t *byte = images.bytes[0] + whole.end_offset + places[i];
        *byte = 0x5a;
        const struct verdict verdict = images_judge(&images);
        assert_int_equal(verdict.error, WEIR_ECORRUPT);
        assert_true(verdict.fault.offset == whole.end_offset);
        *byte = 0;
    }
    test_end(&test, &images);
}

static void a_lost_write_below_a_later_one_is_corruption(void **state) {
    (void)state;
    struct verify_test test;
    struct images images;
    test_begin(&test, 8, 512);
    append_and_settle(&test.fixture, 3, 100);
    test_take(&test, &images);
    const uint64_t begin = images_judge(&images).end_offset;
    images_free(&images);
    append_and_settle(&test.fixture, 1, 100);
    test_take(&test, &images);
    const uint64_t end = images_judge(&images).end_offset;
    images_free(&images);
    append_and_settle(&test.fixture, 1, 100);
    test_take(&test, &images);
    memset(images.bytes[0] + begin, 0, end - begin);
    const struct verdict verdict = images_judge(&images);
    assert_int_equal(verdict.error, WEIR_ECORRUPT);
    assert_true(verdict.fault.offset == begin);
    test_end(&test, &images);
}

/* A log of three segments. */
static void three_segments(struct verify_test *test, struct images *images) {
    test_begin(test, 10, 512);
    append_and_settle(&test->fixture, 14, 200000);
    fixture_log_stop(&test->fixture);
    test_take(test, images);
    assert_int_equal(images_judge(images).error, 0);
    assert_true(images->count >= 3);
}

static void image_drop(struct images *images, uint32_t which) {
    free(images->bytes[which]);
    for (uint32_t i = which; i + 1 < images->count; i++) {
        images->numbers[i] = images->numbers[i + 1];
        images->bytes[i] = images->bytes[i + 1];
        images->length_bytes[i] = images->length_bytes[i + 1];
    }
    images->count--;
}

static void a_missing_segment_is_noticed(void **state) {
    (void)state;
    struct verify_test test;
    struct images images;
    for (uint32_t which = 0; which < 3; which++) {
        three_segments(&test, &images);
        while (images.count > 3)
            image_drop(&images, 3); /* allocated ahead */
        image_drop(&images, which);
        assert_int_equal(images_judge(&images).error, WEIR_ECORRUPT);
        test_end(&test, &images);
    }
}

static void swapped_renamed_and_foreign_segments_are_refused(void **state) {
    (void)state;
    struct verify_test test;
    struct images images;
    three_segments(&test, &images);
    uint8_t *first = images.bytes[0];
    images.bytes[0] = images.bytes[1];
    images.bytes[1] = first;
    assert_int_equal(images_judge(&images).error, WEIR_ECORRUPT);
    images.bytes[1] = images.bytes[0];
    images.bytes[0] = first;
    assert_int_equal(images_judge(&images).error, 0);

    struct owner owner = images.owner;
    images.owner.incarnation++;
    assert_int_equal(images_judge(&images).error, WEIR_EIDENTITY);
    images.owner = owner;
    images.owner.node_id++;
    assert_int_equal(images_judge(&images).error, WEIR_EIDENTITY);
    images.owner = owner;
    images.owner.cluster_id++;
    assert_int_equal(images_judge(&images).error, WEIR_EIDENTITY);
    images.owner = owner;

    images.length_bytes[1] -= 512; /* shortened */
    assert_int_equal(images_judge(&images).error, WEIR_ECORRUPT);
    images.length_bytes[1] += 512;
    memset(images.bytes[1], 0, 4096); /* header lost */
    assert_int_equal(images_judge(&images).error, WEIR_ECORRUPT);
    test_end(&test, &images);
}

/* A block of the log copied over another one (misdirected), or rolled back to what it was. */
static void misplaced_blocks_are_refused(void **state) {
    (void)state;
    struct verify_test test;
    struct images images;
    test_begin(&test, 11, 512);
    for (int i = 0; i < 40; i++)
        append_and_settle(&test.fixture, 1, 3000);
    fixture_log_stop(&test.fixture);
    test_take(&test, &images);
    const struct verdict whole = images_judge(&images);
    assert_int_equal(whole.error, 0);
    const uint64_t blocks = whole.durable_offset / 4096;
    assert_true(blocks > 20);
    uint8_t saved[4096];
    for (uint64_t to = 0; to < blocks; to++) {
        for (uint64_t from = 0; from < blocks; from++) {
            uint8_t *target = images.bytes[0] + to * 4096;
            memcpy(saved, target, 4096);
            memcpy(target, images.bytes[0] + from * 4096, 4096);
            const bool is_changed = memcmp(saved, target, 4096) != 0;
            const struct verdict verdict = images_judge(&images);
            assert_true((verdict.error != 0) == is_changed);
            memcpy(target, saved, 4096);
        }
        memcpy(saved, images.bytes[0] + to * 4096, 4096);
        memset(images.bytes[0] + to * 4096, 0, 4096);
        assert_int_equal(images_judge(&images).error, WEIR_ECORRUPT);
        memcpy(images.bytes[0] + to * 4096, saved, 4096);
    }
    test_end(&test, &images);
}

static void a_gap_between_snapshot_and_log_is_noticed(void **state) {
    (void)state;
    struct verify_test test;
    struct images images;
    three_segments(&test, &images);
    image_drop(&images, 0);
    assert_int_equal(images_judge(&images).error, WEIR_ECORRUPT); /* no snapshot at all */
    images.snapshot_index = 2;
    struct verdict verdict = images_judge(&images);
    assert_int_equal(verdict.error, WEIR_ECORRUPT);
    assert_non_null(strstr(verdict.fault.reason, "gap"));
    test_end(&test, &images);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_of_a_stopped_log_counts),
        cmocka_unit_test(every_live_byte_counts_after_a_truncation),
        cmocka_unit_test(every_byte_of_an_unrecorded_last_write_counts),
        cmocka_unit_test(lost_sectors_of_the_last_write_are_a_torn_tail),
        cmocka_unit_test(a_lost_further_header_sector_is_a_torn_tail),
        cmocka_unit_test(an_altered_further_header_sector_is_corruption),
        cmocka_unit_test(an_altered_sector_of_the_last_write_is_corruption),
        cmocka_unit_test(sectors_behind_a_missing_header_are_cut),
        cmocka_unit_test(garbage_in_the_place_of_a_header_is_corruption),
        cmocka_unit_test(a_lost_write_below_a_later_one_is_corruption),
        cmocka_unit_test(a_missing_segment_is_noticed),
        cmocka_unit_test(swapped_renamed_and_foreign_segments_are_refused),
        cmocka_unit_test(misplaced_blocks_are_refused),
        cmocka_unit_test(a_gap_between_snapshot_and_log_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
