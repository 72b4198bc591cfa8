#!/usr/bin/env python3
"""Runs every fenced command of README.md and docs/*.md, as a reader would type them.

A fence ```sh holds commands. Those of one file under docs/ run in order in one shell, in an empty
directory, with the build's programs on the PATH; a failing line fails the test. Those of README.md
run in the root of the source; tools/test is not run from inside itself, but must be what .ci/run
calls. A fence without a language holds a picture or an output, and is not run; any other language
is an error, so that no command escapes by a misspelt fence.

usage: run_fenced.py SOURCE BINARY_DIR FILE...
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

LANGUAGES = {"sh", ""}
RUN_BY_CI_ITSELF = "tools/test"


def fences(path):
    """The (line, language, text) of each fence."""
    found = []
    language = None
    for number, line in enumerate(open(path, encoding="utf-8"), start=1):
        mark = re.match(r"^\s*```(\w*)\s*$", line)
        if mark and language is None:
            language, start, text = mark.group(1), number, []
        elif mark:
            found.append((start, language, "".join(text)))
            language = None
        elif language is not None:
            text.append(line)
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


def main():
    source, binary = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join(
        [os.path.join(binary, "tools"), os.path.join(binary, "bench"), environment["PATH"]])
    ok, commands = True, 0
    for name in sys.argv[3:]:
        path = os.path.join(source, name)
        blocks = fences(path)
        for line, language, _ in blocks:
            if language not in LANGUAGES:
                sys.exit(f"{name}:{line}: fence of language {language!r}; commands are ```sh")
        scripts = [(line, text) for line, language, text in blocks if language == "sh"]
        commands += len(scripts)
        if name == "README.md":
            for line, text in scripts:
                if text.strip() == RUN_BY_CI_ITSELF:
                    if RUN_BY_CI_ITSELF not in open(os.path.join(source, ".ci/run")).read():
                        sys.exit(f"{name}:{line}: nothing runs {RUN_BY_CI_ITSELF}")
                    continue
                print(f"--- {name}:{line}")
                ok &= run(text, source, environment, f"{name}:{line}")
            continue
        directory = tempfile.mkdtemp(prefix="weir-docs-")
        try:
            script = "".join(f"echo '--- {name}:{line}'\n{text}" for line, text in scripts)
            ok &= not scripts or run(script, directory, environment, name)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    if commands == 0:
        sys.exit("no fenced command was found: the pages or this script are wrong")
    print(f"{commands} fenced commands")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
