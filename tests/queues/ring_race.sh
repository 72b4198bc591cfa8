#!/usr/bin/env bash
# tests/queues/ring_race.sh COMPILER
# The thread sanitizer must be able to see our rings: it finds nothing in the right one and reports
# each of the wrong ones. Built here with -fsanitize=thread, whatever the preset is.
# Exit status 77: this compiler or host cannot run the thread sanitizer.
set -u
compiler=${1:?usage: ring_race.sh COMPILER}
cd "$(dirname "$0")/../.." || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# The sanitizer's own exit status for a report; ours are 0, 2 and 3.
export TSAN_OPTIONS="exitcode=66 halt_on_error=0"

printf 'int main(void) { return 0; }\n' > "$scratch/empty.c"
if ! "$compiler" -fsanitize=thread "$scratch/empty.c" -o "$scratch/empty" 2> "$scratch/log" ||
    ! "$scratch/empty" 2>> "$scratch/log"; then
    echo "SKIP queues_ring_race: no thread sanitizer here:"
    cat "$scratch/log"
    exit 77
fi

"$compiler" -std=gnu17 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -fsanitize=thread -pthread -I. \
    tests/queues/ring_race.c queues/ring.c base/assert.c -o "$scratch/ring_race" || exit 1

failed=0
# run MANNER STATUS PATTERN...: what the run must end with, and lines that its report must have.
run() {
    local manner=$1 expected=$2 status
    shift 2
    timeout 20 "$scratch/ring_race" "$manner" > "$scratch/report" 2>&1
    status=$?
    if [ "$status" -ne "$expected" ]; then
        echo "FAIL $manner: exit status $status, expected $expected"
        cat "$scratch/report"
        failed=1
        return
    fi
    for pattern in "$@"; do
        if ! grep -q "$pattern" "$scratch/report"; then
            echo "FAIL $manner: its report lacks: $pattern"
            cat "$scratch/report"
            failed=1
            return
        fi
    done
    echo "ok $manner"
}

run right 0
if [ -s "$scratch/report" ]; then
    echo "FAIL right: it is not silent:"
    cat "$scratch/report"
    failed=1
fi
run publish_early 66 "data race" "ring_copy_in" "ring_copy_out"
run publish_unordered 66 "data race" "ring_copy_in" "ring_copy_out"
run release_early 66 "data race" "ring_copy_in" "ring_copy_out"
exit $failed
