#!/usr/bin/env bash
# raft_shell as a person meets it: help, mistakes, failures, and what its exit status says.
#   tests/raft/test_shell.sh path/to/raft_shell
set -u
shell=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# expect STATUS PATTERN, after: run ARGUMENTS... [< input]
run() {
    output=$("$shell" "$@" 2>&1)
    status=$?
}
expect() {
    if [ "$status" != "$1" ] || ! grep -q -e "$2" <<< "$output"; then
        echo "expected status $1 and \"$2\", got status $status and:"
        echo "$output"
        failures=$((failures + 1))
    fi
}

run --help < /dev/null
expect 0 "^usage: raft_shell"
run --nonsense < /dev/null
expect 2 "^usage: raft_shell"
run --check < /dev/null
expect 2 "^usage: raft_shell"

printf 'nodes 3\nelect 1 quietly\nstatus 1\n' > "$work/good.txt"
run < "$work/good.txt"
expect 0 "^1 leader: term 2"
run "$work/good.txt"
expect 0 "^1 leader: term 2"

# A mistake names its line and says what to do; so does everything that has not been set up yet.
printf 'nodes 3\n\nelcet 1\n' > "$work/mistake.txt"
run "$work/mistake.txt"
expect 1 "there is no command elcet: .help. lists them"
expect 1 "mistake.txt:3"
run <<< 'status'
expect 1 "there is no cluster yet: begin with"
run <<< $'nodes 3\ntick 7'
expect 1 "7 is not a node: they are 1 to 3"
run <<< $'nodes 3\npropose 1 "a'
expect 1 "a quote is not closed"
run <<< $'nodes 30'
expect 1 "give a number from 1 to 9"
run <<< $'nodes 3 T=never'
expect 1 "T=never: give a number"

# What is expected and does not hold.
printf 'nodes 3\nexpect leader 1\n' > "$work/fails.txt"
run "$work/fails.txt"
expect 1 "FAILED: node 0 leads"
run "$work/no-such-file.txt"
expect 1 "cannot be read"

# Comparing and recording.  Nothing is recorded of a scenario that fails.
run --check "$work/good.txt"
expect 1 "good.txt:1: nodes 3: prints"
run --record "$work/good.txt"
expect 0 "recorded anew"
run --check "$work/good.txt"
expect 0 "as expected"
grep -q '^> 1 leader: term 2' "$work/good.txt" || { echo "not recorded"; failures=1; }
cp "$work/fails.txt" "$work/before.txt"
run --record "$work/fails.txt"
expect 1 "FAILED"
cmp -s "$work/fails.txt" "$work/before.txt" || { echo "recorded a failure"; failures=1; }

# Safety that is violated fails, whatever was recorded: a message that nobody sent counts an entry
# as acknowledged that is nowhere durable.
run <<< $'nodes 3\nelect 1 quietly\nrun 20 quietly\ncut 1->2 1->3\npropose 1 "a" quietly
inject append-answer 2->1 term=2 session=2 granted match-index=3'
expect 1 "safety is violated"

run <<< 'help'
expect 0 "^nodes VOTERS"
run <<< 'help expect'
expect 0 "^expect leader N"

[ "$failures" = 0 ] && echo "raft_shell does what it says"
exit $((failures > 0))
