/* How many batches a connection may have under way, by what is known of it. */

#include "stages/node_settings.h"
#include "stages/read_internal.h"
#include "tests/cmocka_wrapper.h"

enum { BATCHES_MAX = 8 };

static struct node_options options;
static struct node_record record;
static struct node node;
static struct read_connection connection;
static struct read_shard shard;

static int start(void **state) {
    (void)state;
    options = (struct node_options){.connection_batches_max = BATCHES_MAX};
    record = (struct node_record){.open = 1};
    node = (struct node){.options = &options, .records = &record};
    connection = (struct read_connection){.state = READ_OPEN};
    shard = (struct read_shard){.node = &node, .connections = &connection};
    return 0;
}

/* How many it may have before what it sends has to wait. */
static uint32_t limit(void) {
    connection.in_flight = 0;
    while (!read_stash_at_limit(&shard, 0)) {
        assert_true(++connection.in_flight <= BATCHES_MAX);
    }
    return connection.in_flight;
}

static void who_has_not_said_the_password_has_one(void **state) {
    (void)state;
    options.password[0] = 'x';
    assert_int_equal(limit(), 1);
    record.authenticated = 1;
    assert_int_equal(limit(), BATCHES_MAX);
    record.unread = 1;
    assert_true(limit() > 1 && limit() < BATCHES_MAX);
}

static void the_password_in_force_counts(void **state) {
    (void)state;
    assert_int_equal(limit(), BATCHES_MAX);
    node_setting_set(&node.settings.password_required, 1); /* CONFIG SET requirepass */
    assert_int_equal(limit(), 1);
    options.password[0] = 'x';
    node_setting_set(&node.settings.password_required, 0);
    assert_int_equal(limit(), BATCHES_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_has_not_said_the_password_has_one, start),
        cmocka_unit_test_setup(the_password_in_force_counts, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
