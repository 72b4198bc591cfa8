"""What CONFIG SET changes on a running node: each parameter by its effect, and none by half."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import ErrorReply, Node, Scratch, request, until  # noqa: E402


def info(client, field):
    for line in client.call("INFO").decode().splitlines():
        if line.startswith(field + ":"):
            return line.split(":", 1)[1]
    raise AssertionError(f"INFO lacks {field}")


def said(client, *words):
    client.send(request(*words))
    return str(client.reply())


def get(client, name):
    return dict(zip(*[iter(client.call("CONFIG", "GET", name))] * 2)).get(name.encode())


def a_wrong_value_changes_nothing(node):
    with node.client() as client:
        before = client.call("CONFIG", "GET", "*")
        for words in (("maxmemory", "1gb", "maxclients", "x"), ("maxmemory", "1gb", "nosuch", "1"),
                      ("maxmemory", "1gb", "port", "1"), ("maxmemory", "1gb", "maxmemory", "2gb"),
                      ("maxmemory", "1gb", "maxclients", "100000"),
                      ("requirepass", "x" * 513, "maxmemory", "1gb")):
            assert said(client, "CONFIG", "SET", *words).startswith("ERR "), words
        assert client.call("CONFIG", "GET", "*") == before


def maxmemory_refuses_and_lets_in_again(node):
    with node.client() as client:
        client.call("SET", "k", "x" * 1000)
        assert client.call("CONFIG", "SET", "maxmemory", "1", "reads", "quorum") == "OK"
        assert get(client, "maxmemory") == b"1" and info(client, "maxmemory") == "1"
        assert said(client, "SET", "l", "x").startswith("OOM ")
        assert client.call("CONFIG", "SET", "MaxMemory", "1gb") == "OK"
        assert get(client, "maxmemory") == b"1073741824"
        assert client.call("SET", "l", "x") == "OK"
        assert client.call("CONFIG", "SET", "maxmemory", "0") == "OK"


def maxclients_refuses_newcomers(node):
    with node.client() as one, node.client() as two:
        assert two.call("PING") == "PONG"
        assert one.call("CONFIG", "SET", "maxclients", "2") == "OK"
        with node.client() as three:
            assert three.rest() == b"-ERR max number of clients reached\r\n"
        assert two.call("PING") == "PONG"
        assert info(one, "maxclients") == "2"
        slots = said(one, "CONFIG", "SET", "maxclients", "1000000").rsplit(" ", 1)[1]
        assert one.call("CONFIG", "SET", "maxclients", slots) == "OK"
        with node.client() as three:
            assert three.call("PING") == "PONG"


def requirepass_is_asked_of_newcomers(node):
    with node.client() as old:
        assert old.call("CONFIG", "SET", "requirepass", "secret") == "OK"
        assert old.call("CONFIG", "GET", "requirepass") == []
        assert old.call("PING") == "PONG"  # who is in stays in
        with node.client() as new, node.client() as late:
            assert said(new, "GET", "k").startswith("NOAUTH ")
            # The limits of who has not said the password hold, too.
            new.send(b"*20\r\n")
            assert b"unauthenticated multibulk" in new.rest()
            assert said(late, "AUTH", "wrong").startswith("WRONGPASS ")
            assert late.call("AUTH", "secret") == "OK"
            assert late.call("RESET") == "RESET"
            assert said(late, "PING").startswith("NOAUTH ")
            assert old.call("CONFIG", "SET", "requirepass", "") == "OK"
            assert late.call("PING") == "PONG"  # nothing is asked for any more
        with node.client() as new:
            assert new.call("PING") == "PONG"


def snapshot(client):
    """Writes until there is another snapshot."""
    before = int(info(client, "snapshots_completed"))
    for number in range(20):
        client.call("SET", f"s{number}", "x" * 1000)
    until(lambda: int(info(client, "snapshots_completed")) > before, "no snapshot")


def snapshots_follow_the_log_and_loglevel_decides_what_is_logged(node):
    """A snapshot is told at the level notice."""
    def told():
        return node.log().count("event=snapshot_")
    with node.client() as client:
        assert info(client, "snapshots_completed") == "0"
        assert client.call("CONFIG", "SET", "snapshot-log-bytes", "10kb", "loglevel",
                           "warning") == "OK"
        assert get(client, "snapshot-log-bytes") == b"10240"
        assert get(client, "loglevel") == b"warning"
        snapshot(client)
        assert said(client, "CONFIG", "SET", "loglevel", "loud").startswith("ERR CONFIG SET failed")
        assert told() == 0, node.log()
        assert client.call("CONFIG", "SET", "loglevel", "notice") == "OK"
        snapshot(client)
        until(lambda: told() > 0, "nothing is logged")
        assert client.call("CONFIG", "SET", "snapshot-log-bytes", "0") == "OK"


def reads_is_the_mode_of_who_chose_none(node):
    with node.client() as client, node.client() as other:
        assert other.call("CLIENT", "READS", "lease") == "OK"
        assert client.call("CONFIG", "SET", "reads", "stale") == "OK"
        assert client.call("SET", "k", "v") == "OK"
        before = int(info(client, "reads_stale"))
        assert client.call("GET", "k") == b"v"
        assert other.call("GET", "k") == b"v"
        assert int(info(client, "reads_stale")) == before + 1
        assert b" reads=stale " in client.call("CLIENT", "INFO")
        assert info(client, "reads") == "stale"
        assert client.call("CONFIG", "SET", "reads", "quorum") == "OK"


def slow_commands_are_kept_with_how_long_they_took(node):
    with node.client() as client:
        client.call("CLIENT", "SETNAME", "me")
        for first in range(0, 200000, 5000):
            client.call("MSET", *(word for i in range(first, first + 5000) for word in (i, i)))
        assert client.call("CONFIG", "SET", "slowlog-log-slower-than", "1500") == "OK"
        assert client.call("SLOWLOG", "RESET") == "OK"
        assert client.call("PING") == "PONG"
        begin = time.monotonic()
        assert client.call("KEYS", "nothing*") == []
        passed_us = (time.monotonic() - begin) * 1000000
        entries = client.call("SLOWLOG", "GET")
        words = [entry[3] for entry in entries]
        assert words == [[b"KEYS", b"nothing*"]], words
        _, unix_s, took_us, _, address, name = entries[0]
        assert 1500 <= took_us <= passed_us, (took_us, passed_us)
        assert abs(time.time() - unix_s) < 60 and name == b"me"
        assert address in client.call("CLIENT", "INFO")
        assert client.call("CONFIG", "SET", "slowlog-log-slower-than", "-1") == "OK"
        client.call("KEYS", "nothing*")
        assert client.call("SLOWLOG", "LEN") == 1
        client.call("FLUSHALL")


def the_slow_log_is_as_long_as_it_is_told(node):
    with node.client() as client:
        assert client.call("CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len",
                           "3") == "OK"
        client.call("SLOWLOG", "RESET")
        for number in range(10):
            client.call("SET", "k", number)
        assert client.call("SLOWLOG", "LEN") == 3
        # The last of them came before this question, which is noted behind it.
        assert [entry[3][:2] for entry in client.call("SLOWLOG", "GET", "-1")] == [
            [b"SLOWLOG", b"LEN"], [b"SET", b"k"], [b"SET", b"k"]]
        assert client.call("CONFIG", "SET", "slowlog-max-len", "1024") == "OK"
        client.pipeline([("SET", "k", "x" * 1000)] * 2000)
        assert len(client.call("SLOWLOG", "GET", "-1")) == 1024
        ids = [entry[0] for entry in client.call("SLOWLOG", "GET", "1024")]
        assert ids == list(range(ids[0], ids[0] - 1024, -1))
        assert said(client, "CONFIG", "SET", "slowlog-max-len", "1025").startswith("ERR CONFIG SET")
        assert client.call("CONFIG", "SET", "slowlog-max-len", "0") == "OK"
        client.call("PING")
        assert client.call("SLOWLOG", "LEN") == 0
        assert client.call("CONFIG", "SET", "slowlog-log-slower-than", "10000", "slowlog-max-len",
                           "128") == "OK"


def what_cannot_change_says_so(node):
    with node.client() as client:
        known = client.call("CONFIG", "GET", "*")[::2]
        changeable = {b"loglevel", b"maxclients", b"maxmemory", b"reads", b"slowlog-max-len",
                      b"slowlog-log-slower-than", b"snapshot-log-bytes"}
        assert changeable < set(known)
        for name in set(known) - changeable:
            client.send(request("CONFIG", "SET", name, "1"))
            error = client.reply()
            assert isinstance(error, ErrorReply) and str(error) == (
                f"ERR CONFIG SET failed (possibly related to argument '{name.decode()}') - can't "
                "set immutable config"), error


def resetstat_sets_counters_to_zero(node):
    counters = ("total_connections_received", "rejected_connections", "commands_refused",
                "machine_reads", "machine_writes")
    with node.client() as client:
        client.call("GET", "k")
        said(client, "NOSUCH")
        assert int(info(client, "commands_refused")) > 0
        connected, keys = info(client, "connected_clients"), client.call("DBSIZE")
        assert client.call("CONFIG", "RESETSTAT") == "OK"
        assert all(info(client, name) == "0" for name in counters)
        # The reset itself, which was counted behind it, and the INFO before this one.
        assert 0 < int(info(client, "total_commands_processed")) <= 8
        assert 0 < int(info(client, "total_net_input_bytes")) < 1000
        assert (info(client, "connected_clients"), client.call("DBSIZE")) == (connected, keys)
        reads = int(info(client, "machine_reads"))
        client.call("GET", "k")
        assert int(info(client, "machine_reads")) == reads + 1 < 5


TESTS = (a_wrong_value_changes_nothing, maxmemory_refuses_and_lets_in_again,
         maxclients_refuses_newcomers, requirepass_is_asked_of_newcomers,
         reads_is_the_mode_of_who_chose_none, slow_commands_are_kept_with_how_long_they_took,
         the_slow_log_is_as_long_as_it_is_told,
         snapshots_follow_the_log_and_loglevel_decides_what_is_logged, what_cannot_change_says_so,
         resetstat_sets_counters_to_zero)


def main():
    with Scratch() as scratch, Node(os.path.join(scratch, "node"), "--map", "fused") as node:
        node.start()
        for test in TESTS:
            print(test.__name__, flush=True)
            test(node)


if __name__ == "__main__":
    main()
