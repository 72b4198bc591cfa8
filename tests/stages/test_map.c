/* A map is refused with the column and the expectation; what is accepted is written out in full. */

#include "stages/map.h"
#include "stages/map_cpus.h"

#include "tests/cmocka_wrapper.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct map_cpus cpus_of(uint32_t count, double quota) {
    struct map_cpus cpus = {.count = count, .quota = quota};
    for (uint32_t i = 0; i < count; i++) {
        cpus.cpu[i] = (uint16_t)i;
    }
    return cpus;
}

/* Parses on two CPUs and expects a refusal whose sentence holds `part`. */
static void refused(const char *text, int expected, const char *part) {
    struct map_cpus cpus = cpus_of(2, 0);
    struct map map;
    memset(&map, 0x5a, sizeof(map));
    struct map untouched = map;
    struct error_text error = {.text = ""};
    assert_int_equal(map_parse(&map, text, &cpus, &error), expected);
    if (strstr(error.text, part) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", error.text, part);
    }
    assert_memory_equal(&map, &untouched, sizeof(map));
}

static void what_is_no_map_is_refused_where_it_goes_wrong(void **state) {
    (void)state;
    refused("", WEIR_EINVAL, "column 1, its end, expected a CPU number");
    refused("fuse", WEIR_EINVAL, "column 1, \"fuse\": expected a CPU number (or the map fused");
    refused("0", WEIR_EINVAL, "column 2, its end, expected \":\"");
    refused("00:read", WEIR_EINVAL, "column 1");
    refused("0:", WEIR_EINVAL, "column 3, its end, expected a stage: one of read, parse");
    refused("0:reed", WEIR_EINVAL, "column 3, \"reed\": expected a stage");
    refused("0:read+", WEIR_EINVAL, "column 8, its end, expected a stage");
    refused("0:read parse", WEIR_EINVAL, "column 7, \" parse\": expected \"+\" and a stage");
    refused("0:read,", WEIR_EINVAL, "column 8, its end, expected a CPU number");
    refused("0:read+read", WEIR_EINVAL, "column 8: the stage read stands here a second time");
    refused("0:read*2", WEIR_EINVAL, "column 8, \"2\": expected 1");
    refused("0:read*", WEIR_EINVAL, "column 8, its end, expected a number of shards");
    refused("0:read+parse+validate+replicate+apply+serialize", WEIR_EINVAL,
            "the stage write is missing");
    refused("0:read+parse+validate+replicate+apply+serialize+write,1:read", WEIR_EINVAL,
            "expected the end");
}

static void a_foreign_cpu_is_refused_with_those_there_are(void **state) {
    (void)state;
    refused("0:read,2:parse", WEIR_ELIMIT, "column 8: CPU 2 is not among");
    refused("0:read,2:parse", WEIR_ELIMIT, "expected one of 0, 1");
}

static void the_order_written_is_the_order_polled(void **state) {
    (void)state;
    struct map_cpus cpus = cpus_of(2, 0);
    struct map map;
    const char *text = "1:write*1+read,0:parse+validate+replicate,1:apply+serialize";
    assert_int_equal(map_parse(&map, text, &cpus, NULL), 0);
    assert_int_equal(map.thread_count, 3);
    assert_int_equal(map.threads[0].cpu, 1);
    assert_int_equal(map.threads[0].stage_count, 2);
    assert_int_equal(map.threads[0].stages[0], STAGE_WRITE);
    assert_int_equal(map.threads[0].stages[1], STAGE_READ);
    assert_int_equal(map.threads[1].stages[2], STAGE_REPLICATE);
    assert_string_equal(map.text, "1:write+read,0:parse+validate+replicate,1:apply+serialize");
    assert_true(map.oversubscribed);
}

static void the_names_stand_for_specifications(void **state) {
    (void)state;
    struct map_cpus cpus = cpus_of(2, 0);
    struct map map;
    assert_int_equal(map_parse(&map, "fused", &cpus, NULL), 0);
    assert_string_equal(map.text, "0:read+parse+validate+replicate+apply+serialize+write");
    assert_false(map.oversubscribed);
    assert_int_equal(map_parse(&map, "pair", &cpus, NULL), 0);
    assert_string_equal(map.text, "0:read+parse+validate+serialize+write,1:replicate+apply");
    assert_false(map.oversubscribed);
    assert_int_equal(map_parse(&map, "split", &cpus, NULL), 0);
    assert_string_equal(map.text, "0:read,0:parse,0:validate,0:replicate,1:apply,1:serialize,"
                                  "1:write");
    assert_true(map.oversubscribed);
}

static void what_is_written_out_parses_to_the_same(void **state) {
    (void)state;
    struct map_cpus cpus = cpus_of(1000, 0);
    const char *names[] = {"fused", "pair", "split"};
    for (size_t i = 0; i < 3; i++) {
        struct map map;
        struct map again;
        assert_int_equal(map_parse(&map, names[i], &cpus, NULL), 0);
        assert_int_equal(map_parse(&again, map.text, &cpus, NULL), 0);
        assert_memory_equal(&map, &again, sizeof(map));
    }
}

static void the_default_is_fused_on_small_machines(void **state) {
    (void)state;
    struct {
        uint32_t count;
        double quota;
        uint32_t threads;
        bool oversubscribed;
    } cases[] = {
        {1, 0, 1, false},    {2, 0, 1, false},  {3, 0, 1, false},   {4, 0, 2, false},
        {64, 1.5, 1, false}, {64, 8, 2, false}, {64, 0.5, 1, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct map_cpus cpus = cpus_of(cases[i].count, cases[i].quota);
        struct map map;
        assert_int_equal(map_parse(&map, NULL, &cpus, NULL), 0);
        assert_int_equal(map.thread_count, cases[i].threads);
        assert_int_equal(map.oversubscribed, cases[i].oversubscribed);
    }
}

static void a_cap_keeps_those_of_a_place(void **state) {
    (void)state;
    static const struct {
        uint32_t count;
        uint32_t wanted;
        uint64_t place;
        const char *kept;
    } cases[] = {
        {4, 4, 1, "0123"}, {4, 9, 0, "0123"}, {4, 1, 0, "0"},           {4, 1, 3, "3"},
        {4, 1, 4, "0"},    {4, 2, 1, "23"},   {4, 3, 1, "013"},         {5, 2, 2, "04"},
        {1, 1, 7, "0"},    {4, 2, 3, "23"},   {4, 2, UINT64_MAX, "23"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct map_cpus cpus = cpus_of(cases[i].count, 1.5);
        map_cpus_cap(&cpus, cases[i].wanted, cases[i].place);
        assert_int_equal(cpus.count, strlen(cases[i].kept));
        for (uint32_t at = 0; at < cpus.count; at++) {
            assert_int_equal(cpus.cpu[at], cases[i].kept[at] - '0');
        }
        assert_true(cpus.quota == 1.5);
    }
}

static void a_map_knows_only_the_cpus_that_are_kept(void **state) {
    (void)state;
    struct map_cpus cpus = cpus_of(4, 0);
    struct map map;
    struct error_text error;
    map_cpus_cap(&cpus, 1, 2);
    assert_int_equal(map_parse(&map, "split", &cpus, &error), 0);
    assert_true(map.oversubscribed);
    assert_int_equal(map.threads[0].cpu, 2);
    assert_int_equal(
        map_parse(&map, "0:read+parse+validate+replicate+apply+serialize+write", &cpus, &error),
        WEIR_ELIMIT);
}

static void a_thread_keeps_to_the_cpus_that_it_is_confined_to(void **state) {
    (void)state;
    cpu_set_t before;
    struct map_cpus cpus;
    struct map_cpus now;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    map_cpus_available(&cpus);
    map_cpus_cap(&cpus, 1, cpus.count - 1);
    const uint16_t last = cpus.cpu[0];
    assert_int_equal(map_cpus_confine(&cpus), 0);
    map_cpus_available(&now);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
    assert_int_equal(now.count, 1);
    assert_int_equal(now.cpu[0], last);
    cpus.cpu[0] = MAP_CPUS_MAX - 1; /* there is none */
    assert_int_equal(map_cpus_confine(&cpus), WEIR_EIO);
}

static void the_cpus_of_this_process_are_found(void **state) {
    (void)state;
    cpu_set_t mask;
    struct map_cpus cpus;
    assert_int_equal(sched_getaffinity(0, sizeof(mask), &mask), 0);
    map_cpus_available(&cpus);
    assert_int_equal(cpus.count, CPU_COUNT(&mask));
    for (uint32_t i = 0; i < cpus.count; i++) {
        assert_true(CPU_ISSET(cpus.cpu[i], &mask));
        assert_true(i == 0 || cpus.cpu[i - 1] < cpus.cpu[i]);
    }
    const uint16_t last = cpus.cpu[cpus.count - 1];
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    map_cpus_available(&cpus);
    assert_int_equal(sched_setaffinity(0, sizeof(mask), &mask), 0);
    assert_int_equal(cpus.count, 1);
    assert_int_equal(cpus.cpu[0], last);
}

/* ---- a made-up /proc and /sys ------------------------------------------------------------- */

struct tree {
    char root[64];
};

static void tree_write(struct tree *tree, const char *path, const char *content) {
    char full[512];
    (void)snprintf(full, sizeof(full), "%s%s", tree->root, path);
    for (char *slash = full + strlen(tree->root) + 1; (slash = strchr(slash, '/')) != NULL;) {
        *slash = '\0';
        (void)mkdir(full, 0700);
        *slash++ = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void tree_make(struct tree *tree) {
    (void)snprintf(tree->root, sizeof(tree->root), "/tmp/weir_test_map.XXXXXX");
    assert_non_null(mkdtemp(tree->root));
}

static void tree_remove(struct tree *tree) {
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -r %s", tree->root);
    assert_int_equal(system(command), 0);
}

static void the_smallest_quota_on_the_way_up_counts(void **state) {
    (void)state;
    struct tree tree;
    tree_make(&tree);
    tree_write(&tree, "/proc/self/cgroup", "0::/service/weir\n");
    assert_true(map_quota_read(tree.root) == 0);
    tree_write(&tree, "/sys/fs/cgroup/service/weir/cpu.max", "max 100000\n");
    assert_true(map_quota_read(tree.root) == 0);
    tree_write(&tree, "/sys/fs/cgroup/service/cpu.max", "250000 100000\n");
    assert_true(map_quota_read(tree.root) == 2.5);
    tree_write(&tree, "/sys/fs/cgroup/service/weir/cpu.max", "50000 100000\n");
    assert_true(map_quota_read(tree.root) == 0.5);
    tree_remove(&tree);
}

static void a_container_sees_its_group_at_the_mount(void **state) {
    (void)state;
    struct tree tree;
    tree_make(&tree);
    tree_write(&tree, "/proc/self/cgroup", "0::/docker/5f3c\n");
    tree_write(&tree, "/sys/fs/cgroup/cpu.max", "150000 100000\n");
    assert_true(map_quota_read(tree.root) == 1.5);
    tree_remove(&tree);
}

static void the_first_version_of_cgroups_is_read_too(void **state) {
    (void)state;
    struct tree tree;
    tree_make(&tree);
    tree_write(&tree, "/proc/self/cgroup",
               "5:memory:/a\n4:cpuset:/a\n3:cpuacct,cpu:/a\n1:name=systemd:/\n0::/\n");
    tree_write(&tree, "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
    tree_write(&tree, "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
    assert_true(map_quota_read(tree.root) == 0);
    tree_write(&tree, "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "300000\n");
    assert_true(map_quota_read(tree.root) == 3);
    tree_remove(&tree);
}

static void nonsense_in_a_cgroup_file_limits_nothing(void **state) {
    (void)state;
    struct tree tree;
    tree_make(&tree);
    assert_true(map_quota_read(tree.root) == 0);
    tree_write(&tree, "/proc/self/cgroup", "nonsense\n0::/\n");
    tree_write(&tree, "/sys/fs/cgroup/cpu.max", "100000 0\n");
    assert_true(map_quota_read(tree.root) == 0);
    tree_write(&tree, "/sys/fs/cgroup/cpu.max", "");
    assert_true(map_quota_read(tree.root) == 0);
    tree_remove(&tree);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_map_is_refused_where_it_goes_wrong),
        cmocka_unit_test(a_foreign_cpu_is_refused_with_those_there_are),
        cmocka_unit_test(the_order_written_is_the_order_polled),
        cmocka_unit_test(the_names_stand_for_specifications),
        cmocka_unit_test(what_is_written_out_parses_to_the_same),
        cmocka_unit_test(the_default_is_fused_on_small_machines),
        cmocka_unit_test(a_cap_keeps_those_of_a_place),
        cmocka_unit_test(a_map_knows_only_the_cpus_that_are_kept),
        cmocka_unit_test(a_thread_keeps_to_the_cpus_that_it_is_confined_to),
        cmocka_unit_test(the_cpus_of_this_process_are_found),
        cmocka_unit_test(the_smallest_quota_on_the_way_up_counts),
        cmocka_unit_test(a_container_sees_its_group_at_the_mount),
        cmocka_unit_test(the_first_version_of_cgroups_is_read_too),
        cmocka_unit_test(nonsense_in_a_cgroup_file_limits_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
