/* What a host lacks is said before anything is touched. */

#include "tools/serve_host.h"

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void an_old_kernel_is_named(void **state) {
    (void)state;
    const char *old[] = {"6.0.12-generic", "5.15.0-91-generic", "4.19.0", "nonsense", ""};
    const char *new[] = {"6.1.0-18-amd64", "6.18.44", "7.0.0-rc1", "10.0"};
    for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
        struct error_text error = {.text = ""};
        assert_int_equal(serve_host_kernel_release(old[i], &error), WEIR_EUNSUPPORTED);
        assert_non_null(strstr(error.text, "weir needs 6.1 or newer"));
    }
    for (size_t i = 0; i < sizeof(new) / sizeof(new[0]); i++) {
        assert_int_equal(serve_host_kernel_release(new[i], NULL), 0);
    }
}

static void without_a_password_only_this_machine_is_served(void **state) {
    (void)state;
    struct config config;
    struct error_text error = {.text = ""};
    config_default(&config);
    assert_int_equal(serve_host_exposure(&config, &error), 0);
    assert_int_equal(config_set(&config, "bind", "0.0.0.0", "here", &error), 0);
    assert_int_equal(serve_host_exposure(&config, &error), WEIR_EDENIED);
    assert_non_null(
        strstr(error.text, "0.0.0.0 is an address that other machines can reach, and "));
    assert_non_null(strstr(error.text, "put requirepass into the configuration file"));
    assert_int_equal(config_set(&config, "bind", "my-host", "here", &error), 0);
    assert_int_equal(serve_host_exposure(&config, &error), WEIR_EDENIED);
    assert_non_null(strstr(error.text, "my-host is a name that may stand for an address which "));
    assert_int_equal(config_set(&config, "requirepass", "x", "here", &error), 0);
    assert_int_equal(serve_host_exposure(&config, &error), 0);
}

static void clients_are_what_remains_of_the_descriptors(void **state) {
    (void)state;
    assert_int_equal(serve_host_clients(0), 0);
    assert_int_equal(serve_host_clients(128), 0);
    assert_int_equal(serve_host_clients(1128), 1000);
    assert_int_equal(serve_host_clients(RLIM_INFINITY), UINT32_MAX);
}

/* In a child, since a hard limit can only be lowered: exits with 0 if all is as told. */
static void with_few_descriptors(void *context) {
    (void)context;
    struct rlimit limit = {.rlim_cur = 256, .rlim_max = 1000};
    struct config config;
    struct error_text error = {.text = ""};
    config_default(&config);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || serve_host_descriptors(&config, &error) != 0 ||
        config.connections_max != 872 || getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
        limit.rlim_cur != 1000) {
        exit(1);
    }
    if (config_set(&config, "maxclients", "900", "here", &error) != 0 ||
        serve_host_descriptors(&config, &error) != WEIR_ELIMIT) {
        exit(2);
    }
    (void)fprintf(stderr, "%s\n", error.text);
    if (config_set(&config, "maxclients", "872", "here", &error) != 0 ||
        serve_host_descriptors(&config, &error) != 0) {
        exit(3);
    }
}

static void too_few_descriptors_lower_only_the_default(void **state) {
    (void)state;
    struct death death;
    death_run(with_few_descriptors, NULL, &death);
    assert_int_equal(death.exit_status, 0);
    assert_non_null(strstr(death.text, "event=maxclients_lowered from=10000 to=872"));
    assert_non_null(strstr(death.text, "maxclients 900 needs 1028 open files, the limit is 1000"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_kernel_is_named),
        cmocka_unit_test(without_a_password_only_this_machine_is_served),
        cmocka_unit_test(clients_are_what_remains_of_the_descriptors),
        cmocka_unit_test(too_few_descriptors_lower_only_the_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
