"""What a client may do to others on a running node: end them, let them wait.

On each map, since what is tested happens between stages: validate says it, read and parse do it.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import MAPS, Node, Scratch, request, until  # noqa: E402

LONG_MS = 600000  # nobody waits for the end of such a pause
SHORT_MS = 200


def is_ended(client):
    return client.rest() == b""


def is_silent(client, control):
    """Nothing has come back, though all that was sent is where it was going: others were answered
    since."""
    for _ in range(3):
        assert control.call("INFO", "server")
    client.socket.setblocking(False)
    try:
        return client.socket.recv(1) == b"impossible"
    except BlockingIOError:
        return True
    finally:
        client.socket.settimeout(30)


def the_killed_end_and_others_go_on(node):
    with node.client() as one, node.client() as other, node.client() as bystander:
        ids = [client.call("CLIENT", "ID") for client in (one, other)]
        assert bystander.call("CLIENT", "KILL", "ID", ids[0]) == 1
        assert is_ended(one)
        assert bystander.call("CLIENT", "KILL", "ID", ids[0]) == 0
        info = other.call("CLIENT", "INFO").decode()
        address = info.split(" addr=")[1].split()[0]
        assert f" laddr=127.0.0.1:{node.port} " in info, info
        assert bystander.call("CLIENT", "KILL", address) == "OK"
        assert is_ended(other)
        # It is answered before it ends; what is behind it is not done.
        bystander.send(request("CLIENT", "KILL", "SKIPME", "no", "LADDR", f"127.0.0.1:{node.port}")
                       + request("SET", "behind", "x"))
        assert bystander.rest() == b":1\r\n"
    with node.client() as client:
        assert client.call("EXISTS", "behind") == 0


def who_does_not_read_is_killed_too(node):
    """Its replies wait in a send that never ends by itself, in batches that would not come home."""
    with node.client() as client, node.client(receive_buffer=4096) as slow:
        client.call("SET", "large", "x" * 8000000)
        slow_id = slow.call("CLIENT", "ID")
        slow.send(request("GET", "large") * 3)
        assert slow.socket.recv(1) == b"$"
        assert client.call("CLIENT", "KILL", "ID", slow_id) == 1
        until(lambda: b"connected_clients:1\r\n" in client.call("INFO", "clients"), "it stays")
        assert not slow.socket.recv(1 << 24, 256).endswith(b"\r\n")  # MSG_WAITALL: cut


def a_killed_writer_may_have_written(node):
    """The outcome of what was under way is one of two; the connection ends in any case."""
    with node.client() as client:
        for number in range(20):
            with node.client() as writer:
                writer_id = writer.call("CLIENT", "ID")
                writer.send(request("SET", f"w{number}", "x"))
                assert client.call("CLIENT", "KILL", "ID", writer_id) == 1
                answer = writer.rest()
                assert answer in (b"", b"+OK\r\n"), answer
                if answer:
                    assert client.call("GET", f"w{number}") == b"x"


def writes_wait_and_reads_do_not(node):
    with node.client() as control, node.client() as writer, node.client() as reader:
        writer.call("SET", "k", "before")
        assert control.call("CLIENT", "PAUSE", LONG_MS, "WRITE") == "OK"
        # Before the first write all is answered; behind it nothing.
        writer.send(request("GET", "k") + request("NOSUCH") + request("SET", "k", "after") +
                    request("GET", "k"))
        assert writer.reply() == b"before"
        assert str(writer.reply()).startswith("ERR unknown command")
        assert reader.call("GET", "k") == b"before"
        reader.send(request("SET", "k"))
        assert str(reader.reply()).startswith("ERR wrong number")
        assert is_silent(writer, control)
        writer.send(request("INCR", "n"))  # what comes later stays in order
        assert control.call("CLIENT", "UNPAUSE") == "OK"
        assert [writer.reply() for _ in range(3)] == ["OK", b"after", 1]


def a_pause_of_all_ends_by_itself(node):
    with node.client() as control, node.client() as other:
        begin = time.monotonic()
        assert control.call("CLIENT", "PAUSE", SHORT_MS) == "OK"
        other.send(request("PING"))
        assert b"redis_version" in control.call("INFO", "server")
        assert other.reply() == "PONG"
        assert time.monotonic() - begin >= SHORT_MS / 1000


def a_pause_is_in_force_behind_it(node):
    """In its own pipeline, and however that is cut; inline commands keep their quotes."""
    with node.client() as control, node.client() as other:
        for piece in (1, 7, 10000):
            data = request("CLIENT", "PAUSE", LONG_MS, "WRITE") + request("GET", "n") + \
                b'SET inline "a \\"word\\" \\x41"\r\n"set" quoted \'b c\'\r\n' + \
                request("INCR", "n")
            other.call("SET", "n", 7)
            for begin in range(0, len(data), piece):
                other.send(data[begin:begin + piece])
            assert other.reply() == "OK"
            assert other.reply() == b"7"
            assert is_silent(other, control)
            assert control.call("CLIENT", "UNPAUSE") == "OK"
            assert [other.reply() for _ in range(3)] == ["OK", "OK", 8]
            assert other.call("MGET", "inline", "quoted") == [b'a "word" A', b"b c"]


def who_waits_may_send_much_and_go(node):
    """What waits is bounded, and whoever goes is forgotten before the pause ends."""
    with node.client() as control:
        assert control.call("CLIENT", "PAUSE", LONG_MS, "WRITE") == "OK"
        flood = request("SET", "flood", "x" * 10000) * 100
        modest = [node.client() for _ in range(10)]
        for client in modest:
            client.send(request("SET", "flood", "x") * 3)
        waiting = [node.client() for _ in range(3)]
        for client in waiting:
            client.socket.setblocking(False)
            sent, tries = 0, 0
            while tries < 200:  # until TCP holds it back
                tries += 1
                try:
                    sent += client.socket.send(flood)
                except BlockingIOError:
                    break
                assert sent < 100 << 20, "it takes all"
        assert b"# Clients" in control.call("INFO", "clients")
        for client in modest:
            client.close()
        until(lambda: b"connected_clients:4\r\n" in control.call("INFO", "clients"), "they stay")
        assert control.call("EXISTS", "flood") == 0
        assert control.call("CLIENT", "KILL", "TYPE", "normal") == 3
        until(lambda: b"connected_clients:1\r\n" in control.call("INFO", "clients"), "they stay")
        assert control.call("CLIENT", "UNPAUSE") == "OK"
        assert control.call("PING") == "PONG"


def long_commands_wait_too(node):
    """More arguments than a batch has places for, and more bytes than a buffer."""
    with node.client() as control, node.client() as other:
        assert control.call("CLIENT", "PAUSE", LONG_MS, "WRITE") == "OK"
        words = [word for i in range(5000) for word in (f"many{i}", "x")]
        other.send(request("MSET", *words) + request("SET", "big", "x" * 3000000) +
                   request("STRLEN", "big"))
        assert is_silent(other, control)
        assert control.call("CLIENT", "UNPAUSE") == "OK"
        assert [other.reply() for _ in range(3)] == ["OK", "OK", 3000000]
        assert other.call("EXISTS", "many0", "many4999") == 2


def a_paused_node_stops(node):
    with node.client() as control, node.client() as other:
        assert control.call("CLIENT", "PAUSE", LONG_MS) == "OK"
        other.send(request("SET", "k", "never"))
        assert control.call("INFO", "server")
        assert node.stop() == 0


TESTS = (the_killed_end_and_others_go_on, who_does_not_read_is_killed_too,
         a_killed_writer_may_have_written, writes_wait_and_reads_do_not,
         a_pause_of_all_ends_by_itself, a_pause_is_in_force_behind_it,
         who_waits_may_send_much_and_go, long_commands_wait_too, a_paused_node_stops)


def on_a_map(stages_map):
    with Scratch() as scratch, Node(os.path.join(scratch, "node"), "--map", stages_map,
                                    durability="none") as node:
        node.start()
        for test in TESTS:
            print(f"{test.__name__} ({stages_map})", flush=True)
            test(node)


def main():
    with ThreadPoolExecutor(len(MAPS)) as pool:
        list(pool.map(on_a_map, MAPS))


if __name__ == "__main__":
    main()
