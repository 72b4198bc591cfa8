#!/usr/bin/env bash
# tests/models/run.sh [COMPILER]: checks every variant of the doorbell's model with spin, and that
# the wrong ones fail for the reason that their comment names.
# Exit status 77: spin is not installed.
set -u
compiler=${1:-cc}
models=$(cd "$(dirname "$0")" && pwd) || exit 1
if ! command -v spin > /dev/null; then
    echo "SKIP queues_doorbell_model: spin is not installed (apt-get install spin)"
    exit 77
fi
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1

failed=0
pan_options=
# check RESULT DEFINITION...: RESULT is "holds", or a line of the report of the failure.
check() {
    local result=$1 pattern
    shift
    local definitions=("${@/#/-D}")
    rm -f pan* ./*.trail
    if ! spin -a "${definitions[@]}" "$models/doorbell.pml" > log 2>&1 ||
        ! "$compiler" -O1 -w -DSAFETY -o pan pan.c >> log 2>&1; then
        echo "FAIL $*: does not build"
        cat log
        failed=1
        return
    fi
    ./pan -m100000 $pan_options > report 2>&1
    case $result in
    holds) pattern='errors: 0$' ;;
    *) pattern=$result ;;
    esac
    # A search that was cut short proves nothing; one in which hardly a state was met, neither.
    if ! grep -q "$pattern" report || grep -q 'max search depth too small' report ||
        { [ "$result" = holds ] && ! awk '/states, stored/ { exit !($1 >= 200) }' report; }; then
        echo "FAIL ${*:-no barrier}: expected \"$result\""
        cat report
        failed=1
        return
    fi
    echo "ok   $(awk '/states, stored/ { print $1 }' report) states: ${*:-no barrier}: $result"
}

check holds FENCE
check holds MEMBARRIER
check 'invalid end state'
check 'invalid end state' HALF
check 'invalid end state' FENCE NO_RECHECK
check 'invalid end state' FENCE NO_EXCHANGE
check holds NO_BUFFERS
pan_options=-E # do not stop at an invalid end state, look for a wrong assertion
check 'assertion violated (wakes<=sleeps)' FENCE NO_EXCHANGE
exit $failed
