#!/usr/bin/env python3
"""Runs every fenced command of README.md and docs/*.md, as a reader would type them.

A fence ```sh holds commands. Those of one file under docs/ run in order in one shell, in a
directory of their own, with the build's programs on the PATH, and with bench/ and build/release/ as
in the root of the source; a failing line fails the test. Those of README.md run in the root of the
source; tools/test is not run from inside itself, but must be what .ci/run calls. Measurements are
shortened by WEIR_BENCH_SHORT, see bench/compare and tools/quickstart: no figure is judged here. A
fence ```text or without a language holds a picture or an output, and is not run. Any other language
and a block that is only indented are errors, so that no command escapes.

usage: run_fenced.py SOURCE BINARY_DIR
"""

import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from redis_programs import path_with_server  # noqa: E402

LANGUAGES = {"sh", "text", ""}
RUN_BY_CI_ITSELF = "tools/test"


def fences(path):
    """The (line, language, text) of each fence."""
    found = []
    language, before = None, "\n"
    for number, line in enumerate(open(path, encoding="utf-8"), start=1):
        mark = re.match(r"^\s*```(\w*)\s*$", line)
        if mark and language is None:
            language, start, text = mark.group(1), number, []
        elif mark:
            found.append((start, language, "".join(text)))
            language = None
        elif language is not None:
            text.append(line)
        elif re.match(r" {4,}\S|\t", line) and not before.strip():
            sys.exit(f"{path}:{number}: an indented block; commands are ```sh, the rest is ```text")
        before = line
    if language is not None:
        sys.exit(f"{path}: a fence is not closed")
    return found


def run(script, directory, environment, what):
    """Runs a script in a process group of its own, which is ended whatever happens."""
    # Job control, so that kill %1 and wait %1 work as at a terminal.
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            ["bash", "-c", "set -m -eu -o pipefail\n"
             "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
             + script],
            cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait(timeout=240)
        except subprocess.TimeoutExpired:
            status = "none after four minutes"
            os.killpg(process.pid, signal.SIGTERM)
        output.seek(0)
        print(output.read())
    if status != 0:
        print(f"FAILED: {what}: exit status {status}")
    return status == 0


def page_directory(source, binary):
    """Where a page's commands run: nothing but the two folders that they name."""
    directory = tempfile.mkdtemp(prefix="weir-docs-")
    os.mkdir(os.path.join(directory, "build"))
    os.symlink(os.path.join(source, "bench"), os.path.join(directory, "bench"))
    os.symlink(binary, os.path.join(directory, "build", "release"))
    return directory


def commands_of(source, name):
    """The (line, text) of each fence with commands of a page."""
    blocks = fences(os.path.join(source, name))
    for line, language, _ in blocks:
        if language not in LANGUAGES:
            sys.exit(f"{name}:{line}: fence of language {language!r}; commands are ```sh")
    return [(line, text) for line, language, text in blocks if language == "sh"]


def run_readme(source, scripts, environment):
    ok = True
    for line, text in scripts:
        if text.strip() == RUN_BY_CI_ITSELF:
            if RUN_BY_CI_ITSELF not in open(os.path.join(source, ".ci/run")).read():
                sys.exit(f"README.md:{line}: nothing runs {RUN_BY_CI_ITSELF}")
            continue
        print(f"--- README.md:{line}")
        ok &= run(text, source, environment, f"README.md:{line}")
    return ok


def run_page(source, binary, name, scripts, environment):
    directory = page_directory(source, binary)
    try:
        script = "".join(f"echo '--- {name}:{line}'\n{text}" for line, text in scripts)
        return not scripts or run(script, directory, environment, name)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main():
    source, binary = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    readme = commands_of(source, "README.md")
    pages = {name: commands_of(source, name)
             for name in sorted(glob.glob("docs/*.md", root_dir=source))}
    if not readme or not any(pages.values()):
        sys.exit("no fenced command was found: the pages or this script are wrong")
    with tempfile.TemporaryDirectory(prefix="weir-redis-") as programs:
        environment = dict(os.environ, WEIR_BENCH_SHORT="1")
        environment["PATH"] = os.pathsep.join(
            [os.path.join(binary, "tools"), os.path.join(binary, "bench"),
             path_with_server(programs) or sys.exit("there is no Redis: install redis-tools")])
        ok = run_readme(source, readme, environment)
        for name, scripts in pages.items():
            ok &= run_page(source, binary, name, scripts, environment)
    print(f"{len(readme) + sum(map(len, pages.values()))} fences with commands")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
