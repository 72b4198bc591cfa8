#!/usr/bin/env python3
"""Records what a client sends: record.py FILE COMMAND [ARGUMENT ...]

Starts a redis-server, and before it a relay; runs the command, in whose arguments PORT is the
relay's port; writes what it sent to FILE. A file is a line "# what made it", then pieces as they
came: a line "connection length", the bytes, and a line's end. differential.py plays it.
"""

import os
import socket
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import servers  # noqa: E402
from weir_test import LIMIT_S, Scratch  # noqa: E402

PIECE_BYTES = 1 << 16


class Relay:
    """Passes each connection on to `port`, and keeps what the clients send."""

    def __init__(self, port):
        self.target = port
        self.pieces = []  # (connection, bytes)
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        number = 0
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.target))
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink, keep in ((client, server, True), (server, client, False)):
                threading.Thread(target=self.pass_on, args=(number, source, sink, keep),
                                 daemon=True).start()
            number += 1

    def pass_on(self, number, source, sink, keep):
        try:
            while True:
                data = source.recv(PIECE_BYTES)
                if not data:
                    break
                if keep:
                    with self.lock:
                        self.pieces.append((number, data))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side has gone

    def text(self, comment):
        with self.lock:
            return b"# " + comment.encode() + b"\n" + b"".join(
                b"%d %d\n%b\n" % (number, len(data), data) for number, data in self.pieces)


def main():
    path, command = sys.argv[1], sys.argv[2:]
    with Scratch() as scratch:
        redis = servers.Redis(scratch)
        try:
            relay = Relay(redis.port)
            words = [word.replace("PORT", str(relay.port)) for word in command]
            done = subprocess.run(words, check=False, timeout=LIMIT_S * 4,
                                  stdin=subprocess.DEVNULL)
        finally:
            redis.stop()
        with open(path, "wb") as file:
            file.write(relay.text(" ".join(" ".join(command).split())))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
