#!/usr/bin/env python3
"""Each check finds what is planted in a small tree, and nothing in one that is right."""

import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

GUARDED = """#ifndef {guard}
#define {guard}

/* A header that is right. */

{body}
#endif
"""

RIGHT = {
    "base/assert.h": "/* Adds one. */\nint base_add(int value);\n",
    "base/clock.h": "/* The time. */\nint clock_now(void);\n",
    "entry/entry.h": "/* Nothing but a type. */\nstruct entry {\n    int length_bytes;\n};\n",
}


def header(path, body):
    """A header with the guard that belongs to its path."""
    guard = "WEIR_" + path.replace("/", "_").replace(".", "_").upper()
    return GUARDED.format(guard=guard, body=body)


class Tree(unittest.TestCase):
    """A small tree that passes, in which each test plants one thing."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = directory.name
        for path, body in RIGHT.items():
            self.plant(path, header(path, body))
        self.plant("raft/raft.c", '/* Pure. */\n\n#include "entry/entry.h"\n#include <stdint.h>\n')

    def plant(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def run_check(self, check):
        return subprocess.run([sys.executable, os.path.join(ROOT, "tools", check), self.root],
                              capture_output=True, text=True, check=False)

    def expect_found(self, check, path, line, words):
        result = self.run_check(check)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn(f"{path}:{line}: ", result.stdout)
        self.assertIn(words, result.stdout)
        self.assertEqual(result.stdout.count("\n"), 1, result.stdout)

    def expect_right(self, check):
        result = self.run_check(check)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))


class Includes(Tree):
    """tools/check_includes"""

    def expect_include_found(self, path, include, words):
        self.plant(path, f"/* Planted. */\n\n#include {include}\n")
        self.expect_found("check_includes", path, 3, words)

    def expect_include_right(self, path, include):
        self.plant(path, f"/* Planted. */\n\n#include {include}\n")
        self.expect_right("check_includes")

    def test_a_tree_that_is_right_passes(self):
        self.expect_right("check_includes")

    def test_a_tree_without_source_fails(self):
        self.root = os.path.join(self.root, "docs")
        self.assertEqual(self.run_check("check_includes").returncode, 1)

    def test_base_includes_nobody(self):
        self.expect_include_found("base/log.c", '"queues/ring.h"', "base/ may not include queues/")

    def test_arrows_do_not_point_back(self):
        self.expect_include_found("storage/log.c", '"stages/batch.h"', "may not include stages/")

    def test_storage_does_not_see_raft(self):
        self.expect_include_found("storage/log.c", '"raft/raft.h"', "may not include raft/")

    def test_bench_does_not_see_the_simulator(self):
        self.expect_include_found("bench/load.c", '"sim/world.h"', "may not include sim/")

    def test_a_machine_sees_of_wire_only_the_reply_stream(self):
        self.expect_include_found("machines/kv.c", '"wire/resp.h"', "may not include wire/")

    def test_a_machine_sees_the_reply_stream(self):
        self.expect_include_right("machines/kv.c", '"wire/reply.h"')

    def test_pure_code_has_no_clock(self):
        self.expect_include_found("raft/tick.c", '"base/clock.h"', "raft/ is pure")

    def test_pure_code_has_no_log(self):
        self.expect_include_found("wire/resp.c", '"base/log.h"', "wire/ is pure")

    def test_pure_code_has_no_system_header(self):
        for name in ("unistd.h", "pthread.h", "sys/time.h", "time.h", "sys/socket.h", "stdio.h",
                     "threads.h", "fcntl.h", "stdatomic.h"):
            with self.subTest(name):
                self.expect_include_found("entry/entry.c", f"<{name}>", "entry/ is pure")

    def test_other_code_has_system_headers(self):
        self.expect_include_right("storage/log.c", "<unistd.h>")

    def test_libraries_have_their_folders(self):
        for include, path in (("<ck_pr.h>", "stages/core.c"), ("<xxhash.h>", "wire/hash.c"),
                              ("<liburing.h>", "stages/core.c"), ("<cmocka.h>", "tools/test.c"),
                              ("<hiredis/hiredis.h>", "bench/load.c")):
            with self.subTest(include):
                self.plant(path, f"/* Planted. */\n#include {include}\n")
                self.expect_found("check_includes", path, 2, "belongs to")
                os.remove(os.path.join(self.root, path))

    def test_the_twin_of_our_ring_is_for_tests(self):
        self.expect_include_right("tests/queues/test_ring.c", "<ck_ring.h>")

    def test_a_path_begins_at_the_root(self):
        self.expect_include_found("base/log.c", '"log.h"', "not a path from the root")

    def test_a_stage_does_not_include_another(self):
        self.expect_include_found("stages/parse.c", '"stages/read.h"', "only the pipeline")

    def test_a_stage_includes_its_own_header_and_the_batch(self):
        self.plant("stages/read_receive.c",
                   '/* Planted. */\n#include "stages/batch.h"\n#include "stages/read.h"\n')
        self.expect_right("check_includes")

    def test_the_pipeline_includes_every_stage(self):
        self.expect_include_right("stages/pipeline.c", '"stages/read.h"')

    def test_an_indented_include_is_seen(self):
        self.plant("base/log.c", '/* Planted. */\n#ifdef X\n#  include "io/io.h"\n#endif\n')
        self.expect_found("check_includes", "base/log.c", 3, "base/ may not include io/")


class Style(Tree):
    """tools/check_style"""

    def expect_code_found(self, code, words, path="queues/ring.c"):
        self.plant(path, f"/* Planted. */\n\n{code}\n")
        self.expect_found("check_style", path, 3, words)

    def expect_code_right(self, code, path="queues/ring.c"):
        self.plant(path, f"/* Planted. */\n\n{code}\n")
        self.expect_right("check_style")

    def test_a_tree_that_is_right_passes(self):
        self.expect_right("check_style")

    def test_a_hundred_columns_pass_and_one_more_does_not(self):
        self.expect_code_right("// " + "x" * 97)
        self.expect_code_found("// " + "x" * 98, "101 columns")

    def test_a_file_of_600_lines_passes_and_one_more_does_not(self):
        self.plant("queues/ring.c", "// line\n" * 600)
        self.expect_right("check_style")
        self.plant("queues/ring.c", "// line\n" * 601)
        self.expect_found("check_style", "queues/ring.c", 601, "601 lines")

    def test_a_function_of_70_lines_passes_and_one_more_does_not(self):
        self.expect_code_right("int f(int a,\n      int b) {\n" + "    a++;\n" * 68 + "}")
        self.plant("queues/ring.c",
                   "/* Planted. */\n\nint f(int a) {\n" + "    a++;\n" * 69 + "}\n")
        self.expect_found("check_style", "queues/ring.c", 3, "function of 71 lines")

    def test_a_long_table_is_no_function(self):
        self.expect_code_right("static const int t[ARRAY_COUNT(x)] = {\n" + "    1,\n" * 90 + "};")

    def test_blanks_tabs_and_a_missing_newline(self):
        self.expect_code_found("int x; ", "blanks at the end")
        self.expect_code_found("int\tx;", "a tab")
        self.plant("queues/ring.c", "/* Planted. */")
        self.expect_found("check_style", "queues/ring.c", 1, "no newline")

    def test_banned_functions(self):
        for call in ("strcpy(a, b)", "sprintf(a, b)", "alloca(8)", "atoi(a)", "rand()", "gets(a)",
                     "strtok(a, b)", "assert(x)", "gmtime(t)", "strncpy(a, b, 1)"):
            with self.subTest(call):
                self.expect_code_found(f"    {call};", call.split("(")[0])

    def test_banned_words_in_comments_and_strings_are_only_words(self):
        self.expect_code_right('/* strcpy(a, b) */ const char *x = "sprintf(";')

    def test_names_that_contain_a_banned_one_pass(self):
        self.expect_code_right("    my_assert(x); weir_sprintf(y); gmtime_r(a, b); z.assert(1);")

    def test_typedef_volatile_and_notes_to_oneself(self):
        self.expect_code_found("typedef struct thing thing;", "typedef struct")
        self.expect_code_found("static volatile int x;", "volatile")
        self.expect_code_right("static volatile sig_atomic_t x;")
        self.expect_code_found("// TO" + "DO later", "finish it")

    def test_a_test_does_not_sleep(self):
        for call in ("sleep(1)", "usleep(10)", "nanosleep(a, b)"):
            with self.subTest(call):
                self.expect_code_found(f"    {call};", "never for time", "tests/io/test_io.c")
                os.remove(os.path.join(self.root, "tests/io/test_io.c"))
        self.expect_code_right("    nanosleep(a, b);", "tools/top.c")

    def test_a_test_script_does_not_sleep(self):
        self.plant("tests/cluster/kill.sh", "#!/usr/bin/env bash\nkill; sle" "ep 1\n")
        self.expect_found("check_style", "tests/cluster/kill.sh", 2, "never for time")

    def test_a_wrong_guard(self):
        self.plant("queues/ring.h", header("queues/rink.h", ""))
        self.expect_found("check_style", "queues/ring.h", 1, "WEIR_QUEUES_RING_H")

    def test_a_public_function_without_a_comment(self):
        self.plant("queues/ring.h", header("queues/ring.h", "\nint ring_depth(int ring);\n"))
        self.expect_found("check_style", "queues/ring.h", 7, "without a comment: int ring_depth")

    def test_a_public_type_without_a_comment(self):
        self.plant("queues/ring.h", header("queues/ring.h", "struct ring {\n    int depth;\n};\n"))
        self.expect_found("check_style", "queues/ring.h", 6, "without a comment: struct ring")

    def test_an_inline_function_of_many_lines_counts_once(self):
        body = "\nstatic inline int f(int a,\n" + " " * 20 + "int b) {\n    return a;\n}\n"
        self.plant("queues/ring.h", header("queues/ring.h", body))
        self.expect_found("check_style", "queues/ring.h", 7, "without a comment: static inline")

    def test_a_group_below_one_comment_passes(self):
        body = "/* Both. */\nint f(int a,\n      int b);\nint g(void);\n\nstruct other;\n"
        self.plant("queues/ring.h", header("queues/ring.h", body))
        self.expect_right("check_style")

    def test_a_type_with_comments_at_its_members_passes(self):
        self.plant("queues/ring.h",
                   header("queues/ring.h", "\nstruct ring {\n    int depth; /* items */\n};\n"))
        self.expect_right("check_style")

    def test_macros_and_the_other_language_are_not_declarations(self):
        body = ('#ifdef __cplusplus\nextern "C" {\n#endif\n\n#define RING(x) \\\n    do_it(x)\n\n'
                "#ifdef __cplusplus\n}\n#endif\n")
        self.plant("queues/ring.h", header("queues/ring.h", body))
        self.expect_right("check_style")

    def test_a_source_begins_with_a_comment(self):
        self.plant("queues/ring.c", "int x;\n")
        self.expect_found("check_style", "queues/ring.c", 1, "begins with a comment")


class Pure(Tree):
    """tools/check_pure, over libraries that are compiled for it"""

    right = None  # an archive that is pure, compiled once

    def setUp(self):
        super().setUp()
        if Pure.right is None:
            self.compile("entry", "int right(int x) { return x; }\n")
            with open(os.path.join(self.root, "entry", "libweir_entry.a"), "rb") as file:
                Pure.right = file.read()
        for folder in ("entry", "wire", "raft", "machines"):
            os.makedirs(os.path.join(self.root, folder), exist_ok=True)
            with open(os.path.join(self.root, folder, f"libweir_{folder}.a"), "wb") as file:
                file.write(Pure.right)

    def compile(self, folder, code):
        self.plant(f"{folder}/{folder}.c", code)
        source = os.path.join(self.root, folder, folder)
        subprocess.run(["gcc", "-O1", "-c", source + ".c", "-o", source + ".o"], check=True)
        archive = os.path.join(self.root, folder, f"libweir_{folder}.a")
        if os.path.exists(archive):
            os.remove(archive)
        subprocess.run(["ar", "rc", archive, source + ".o"], check=True)

    def run_pure(self):
        return subprocess.run([os.path.join(ROOT, "tools", "check_pure"), self.root],
                              capture_output=True, text=True, check=False)

    def test_what_computes_passes(self):
        self.compile("entry", "int entry_length(int x) { return x; }\n")
        self.compile("raft", "#include <string.h>\nint entry_length(int);\n"
                     "int raft_step(char *a, char *b) { return memcmp(a, b, entry_length(9)); }\n")
        result = self.run_pure()
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_a_system_call_a_clock_and_an_allocation_are_found(self):
        for call, symbol in (("write(1, a, 1)", "write"), ("time(0)", "time"),
                             ("malloc(8)", "malloc"), ("log_line(1)", "log_line"),
                             ("clock_wall_ms()", "clock_wall_ms")):
            with self.subTest(symbol):
                self.compile("entry", "#include <stdlib.h>\n#include <time.h>\n"
                             "#include <unistd.h>\nint log_line(int); int clock_wall_ms(void);\n"
                             f"long entry_planted(char *a) {{ return (long)a + (long){call}; }}\n")
                result = self.run_pure()
                self.assertEqual(result.returncode, 1)
                self.assertEqual(result.stdout, f"entry/ is pure and may not call {symbol}\n")

    def test_a_core_may_allocate_and_a_machine_may_not(self):
        code = "#include <stdlib.h>\nvoid *{0}_planted(void) {{ return malloc(8); }}\n"
        self.compile("raft", code.format("raft"))
        self.assertEqual(self.run_pure().returncode, 0)
        self.compile("machines", code.format("machines"))
        result = self.run_pure()
        self.assertEqual((result.returncode, result.stdout),
                         (1, "machines/ is pure and may not call malloc\n"))

    def test_a_library_that_was_not_built_is_a_failure(self):
        for folder in ("entry", "wire", "raft", "machines"):
            with self.subTest(folder):
                archive = os.path.join(self.root, folder, f"libweir_{folder}.a")
                os.rename(archive, archive + ".away")
                result = self.run_pure()
                self.assertEqual(result.returncode, 1)
                self.assertIn(f"{folder}/libweir_{folder}.a", result.stderr)
                os.rename(archive + ".away", archive)


if __name__ == "__main__":
    unittest.main()
