"""Edges of a running node's stages: each was once a hang, a refusal or a lost key.

Every test drives the built binary over TCP, on the maps where it matters.
"""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import MAPS, Node, Scratch, request, until  # noqa: E402

REVERSED = "0:write+serialize+apply+replicate+validate+parse+read"


def nothing_is_said_unasked(client, seconds):
    """The node, left alone for so long, sends the client nothing."""
    client.socket.settimeout(seconds)
    try:
        said = client.socket.recv(1)
    except TimeoutError:
        client.socket.settimeout(30)
        return
    raise AssertionError(f"unasked: {said}")


def a_map_that_polls_the_last_stage_first_stops(directory):
    with Node(directory, "--map", REVERSED) as node:
        node.start()
        with node.client() as client:
            assert client.call("SET", "a", "b") == "OK"
        assert node.stop() == 0


def the_second_deadline_passes_without_other_traffic(directory, stages_map):
    """The expiry of the first key is an entry that only the node asked for; so is the second."""
    with Node(directory, "--map", stages_map) as node:
        node.start()
        with node.client() as client:
            client.call("SET", "first", "1", "PX", 100)
            client.call("SET", "second", "2", "PX", 300)
            nothing_is_said_unasked(client, 1)
            assert client.call("GET", "second") is None


def a_deadline_beyond_the_clock_costs_nothing(directory):
    with Node(directory, "--map", "fused") as node:
        node.start()
        with node.client() as client:
            # 2^64 nanoseconds ahead: the product with a million wraps round to about now.
            client.call("SET", "a", "b", "PXAT", int(time.time() * 1000) + (1 << 64) // 1000000)
            before = node.cpu_s()
            nothing_is_said_unasked(client, 0.5)  # a core that spins uses all of it
            assert node.cpu_s() - before < 0.25, node.cpu_s() - before


def short_commands_that_make_long_values_stay_below_the_limit(directory, stages_map):
    """A thousand SETRANGEs of 1 MB in one pipeline: 1 GB asked for by 40 KB of commands."""
    limit = 32 << 20
    with Node(directory, "--map", stages_map, durability="none",
              config={"maxmemory": str(limit)}) as node:
        node.start()
        with node.client() as client:
            for _ in range(2):  # and again when they are gone
                replies = client.pipeline([("SETRANGE", f"k{i}", "1000000", "x")
                                           for i in range(1000)])
                done = [reply for reply in replies if reply == 1000001]
                assert all(reply == 1000001 or str(reply).startswith("OOM") for reply in replies)
                # Twice the length is set aside for each that is under way, the length is needed.
                assert 15 <= len(done) <= 33, len(done)
                info = client.call("INFO", "memory").decode()
                assert int(info.split("used_memory:")[1].split()[0]) <= limit
                copies = client.pipeline([("COPY", "k0", f"c{i}") for i in range(1000)])
                assert sum(reply == 1 for reply in copies) <= 20, copies
                client.call("UNLINK", *[f"k{i}" for i in range(1000)],
                            *[f"c{i}" for i in range(1000)])


def what_was_deleted_falls_free_under_load(directory):
    """Clients that keep the node busy for as long as that takes, and never let it rest."""
    count = 50000
    with Node(directory, "--map", "fused", durability="none") as node:
        node.start()

        def used_bytes(client):
            return int(client.call("INFO", "memory").decode().split("used_memory:")[1].split()[0])

        def load(done):
            with node.client() as client:
                while not done.is_set():
                    client.pipeline([("SORT_RO", "list", "LIMIT", "0", "1")] * 8)

        with node.client() as client, ThreadPoolExecutor(3) as pool:
            for first in range(0, count, 1000):
                client.call("RPUSH", "list", *[str(i * 7919 % count)
                                               for i in range(first, first + 1000)])
                client.call("HSET", "hash", *[word for i in range(first, first + 1000)
                                              for word in (f"f{i}", "v" * 200)])
            before = used_bytes(client)
            done = threading.Event()
            loads = [pool.submit(load, done) for _ in range(3)]
            try:
                client.call("DEL", "hash")
                # 12 MB; each SORT_RO has 3 MB at most.
                until(lambda: used_bytes(client) < before - (8 << 20), "the hash is gone", 10)
            finally:
                done.set()
            for one in loads:
                one.result()
        assert node.stop() == 0


def what_follows_auth_in_a_pipeline_has_the_limits_of_who_it_authenticates(directory, stages_map):
    with Node(directory, "--map", stages_map, config={"requirepass": "secret"}) as node:
        node.start()
        for _ in range(5):
            with node.client() as client:
                client.send(request("AUTH", "secret") + request("SET", "k", "x" * 200000) +
                            request("STRLEN", "k"))
                assert [client.reply() for _ in range(3)] == ["OK", "OK", 200000]


def a_client_who_does_not_read_does_not_hold_up_the_stop(directory, stages_map):
    with Node(directory, "--map", stages_map) as node:
        node.start()
        with node.client() as client:
            client.call("SET", "k", "x" * 8000000)
        with node.client(receive_buffer=4096) as slow:
            slow.send(request("GET", "k"))
            assert slow.socket.recv(1) == b"$"  # the reply is on its way, and stays there
            assert node.stop() == 0


def values_of_the_largest_class_leave_their_neighbours_alone(directory):
    with Node(directory, "--map", "fused") as node:
        node.start()
        with node.client() as client:
            for i in range(300):
                client.call("SET", f"large:{i}", chr(97 + i % 26) * 32600)
                client.call("SET", f"small:{i}", i)
            for i in range(300):
                assert client.call("GET", f"large:{i}") == (b"%c" % (97 + i % 26)) * 32600, i
                assert client.call("GET", f"small:{i}") == b"%d" % i, i
        assert node.stop() == 0


def a_key_longer_than_the_machine_takes_is_refused(directory):
    longest, longer = "k" * 65536, "k" * 65537
    with Node(directory, "--map", "fused") as node:
        node.start()
        with node.client() as client:
            assert client.call("SET", longest, "v") == "OK"
            for words in (("SET", longer, "v"), ("GET", longer), ("MSET", "a", "1", longer, "2"),
                          ("DEL", "b", longer)):
                client.send(request(*words))
                assert str(client.reply()) == "ERR key too long: the limit is 65536 bytes", words
            assert client.call("GET", longest) == b"v"
            assert client.call("EXISTS", "a") == 0
        assert node.stop() == 0


def on_a_map(tests, stages_map):
    for test in tests:
        with Scratch() as scratch:
            print(f"{test.__name__} ({stages_map})", flush=True)
            test(os.path.join(scratch, "node"), stages_map)


def main():
    with_a_map = (short_commands_that_make_long_values_stay_below_the_limit,
                  the_second_deadline_passes_without_other_traffic,
                  what_follows_auth_in_a_pipeline_has_the_limits_of_who_it_authenticates,
                  a_client_who_does_not_read_does_not_hold_up_the_stop)
    without = (a_map_that_polls_the_last_stage_first_stops,
               a_deadline_beyond_the_clock_costs_nothing,
               what_was_deleted_falls_free_under_load,
               values_of_the_largest_class_leave_their_neighbours_alone,
               a_key_longer_than_the_machine_takes_is_refused)
    for test in without:
        with Scratch() as scratch:
            print(f"{test.__name__}", flush=True)
            test(os.path.join(scratch, "node"))
    # Most of each is waiting: the maps at once.
    with ThreadPoolExecutor(len(MAPS)) as pool:
        list(pool.map(lambda stages_map: on_a_map(with_a_map, stages_map), MAPS))


if __name__ == "__main__":
    main()
