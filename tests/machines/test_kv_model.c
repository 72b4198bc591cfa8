/*
 * The model of sim/kv_model.h, of the commands that test_kv_property.c does not make: the same
 * commands to machine and model, the same replies.
 */

#include "base/assert.h"
#include "tests/cmocka_wrapper.h"
#include "tests/machines/driver.h"
#include "tests/machines/kv_templates.h"

#include <stdio.h>
#include <string.h>

static const char *const templates[] = {
    "SET @k @e",         "SET @k @e",         "SET @k @v PX @m",     "GET @k",
    "STRLEN @k",         "PERSIST @k",        "GETSET @k @e",        "GETDEL @k",
    "GETEX @k",          "GETEX @k PERSIST",  "SETNX @k @e",         "CAS @k @e @e",
    "CAS @k  @e ABSENT", "CAS @k @e  DELETE", "CAS @k @e @e ABSENT", "GETRANGE @k @i @i",
    "GETRANGE @k @i @i", "SETRANGE @k @i @e", "SETRANGE @k @o @v",   "INCRBY @k @i",
    "DECRBY @k @i",      "UNLINK @k",         "UNLINK @k @k",        "TOUCH @k @k",
    "RENAME @k @k",      "COPY @k @k",        "COPY @k @k REPLACE",  NULL,
};

static void the_model_answers_as_the_machine(void **state) {
    (void)state;
    struct driver driver;
    struct kv_templates stream;
    struct kv_model_text here = {0};
    struct kv_model_text there = {0};
    driver_begin(&driver, &machine_kv, 2);
    struct kv_model *model = kv_model_new(driver.options.value_bytes_max);
    kv_templates_begin(&stream, templates, 3, 16, 3000);
    for (uint64_t index = 1; index <= 20000; index++) {
        stream.now_ms = 1000000 + index * 3;
        kv_templates_next(&stream);
        const struct machine_moment moment = driver_moment(index, stream.now_ms);
        driver_execute(&driver, stream.words, stream.count, &moment, &here);
        kv_model_execute(model, stream.words, stream.count, stream.now_ms, stream.now_ms, &there);
        if (here.length != there.length || memcmp(here.data, there.data, here.length) != 0)
            fail_msg("%s %s: machine %.*s model %.*s", stream.words[0].data, stream.words[1].data,
                     (int)here.length, here.data, (int)there.length, there.data);
    }
    for (size_t i = 0; i < stream.template_count; i++)
        assert_true(stream.made[i] >= 100);
    kv_templates_end(&stream);
    kv_model_free(model);
    kv_model_text_free(&here);
    kv_model_text_free(&there);
    driver_end(&driver);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_answers_as_the_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
