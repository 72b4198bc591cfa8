"""Recorded sessions of real clients: pieces as they were sent, on one connection or several."""

import os
import re
import shlex

from commands import ROWS
from comparisons import CONTAINERS, Exchange, is_error
from differences import UNKNOWN
from runner import Failure, now_ms
from servers import Connection
from streams import Command, Stream
from weir_test import request

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "recordings")
HEAD = re.compile(rb"(\d+) (\d+)\n")


BY_NAME = {row.name.encode(): row for row in ROWS}


def row_of(words):
    """The row of the command, if weir has it."""
    head = [word.lower() for word in words[:2]]
    return BY_NAME.get(b"|".join(head) if head[0] in CONTAINERS else head[0])


def session_names():
    return sorted(os.listdir(FOLDER))


def pieces_of(name):
    """(connection, bytes) in the order in which they were sent."""
    with open(os.path.join(FOLDER, name), "rb") as file:
        data = file.read()
    at, found = data.index(b"\n") + 1, []
    while at < len(data):
        head = HEAD.match(data, at)
        number, length = int(head.group(1)), int(head.group(2))
        found.append((number, data[head.end():head.end() + length]))
        at = head.end() + length + 1
    return found


def request_end(data, at):
    """The words of the request at `at` and where it ends; (None, at) if it is not whole."""
    end = data.find(b"\n", at)
    if end < 0:
        return None, at
    if data[at:at + 1] != b"*":
        line = data[at:end].rstrip(b"\r").decode("latin-1")
        return [word.encode("latin-1") for word in shlex.split(line)], end + 1
    words, begin = [], end + 1
    for _ in range(int(data[at + 1:end])):
        end = data.find(b"\r\n", begin)
        if end < 0:
            return None, at
        length = int(data[begin + 1:end])
        if len(data) < end + 2 + length + 2:
            return None, at
        words.append(bytes(data[end + 2:end + 2 + length]))
        begin = end + 2 + length + 2
    return words, begin


class Requests:
    """The commands in the bytes of one connection, as they become whole."""

    def __init__(self):
        self.data = b""

    def feed(self, piece):
        self.data += piece
        at, found = 0, []
        while at < len(self.data):
            words, end = request_end(self.data, at)
            if words is None:
                break
            if words:
                found.append(Command(words, request(*words), row_of(words)))
            at = end
        self.data = self.data[at:]
        return found


def play(port, pieces):
    """What one server replies to each connection of a session: number -> (commands, replies)."""
    connections, requests, commands = {}, {}, {}
    try:
        for number, piece in pieces:
            if number not in connections:
                connections[number] = Connection(port)
                requests[number], commands[number] = Requests(), []
            commands[number] += requests[number].feed(piece)
            connections[number].exchange(piece, len(commands[number]))
        return {number: (commands[number], connection.replies)
                for number, connection in connections.items()}
    finally:
        for connection in connections.values():
            connection.socket.close()


def run_session(runner, name, known):
    """Plays a session to both servers. Raises Failure; returns which commands weir does not have.
    `known` are the names of those that it has."""
    absent = set()
    pieces = pieces_of(name)
    runner.pair.empty()
    begin_ms = now_ms()
    redis = play(runner.pair.ports["redis"], pieces)
    weir = play(runner.pair.ports["weir"], pieces)
    end_ms = now_ms()
    for number, (commands, replies) in redis.items():
        stream = Stream(f"{name}, connection {number}", commands)
        others = weir[number][1]
        for index, command in enumerate(commands):
            one = replies[index] if index < len(replies) else b""
            other = others[index] if index < len(others) else b""
            exchange = Exchange(command, one, other, begin_ms, end_ms)
            if exchange.name() not in known and is_error(other, *UNKNOWN) and \
                    not is_error(one, *UNKNOWN):
                absent.add(exchange.name())
            else:
                runner.compare(stream, index, exchange)
        if len(replies) != len(others):
            raise Failure(stream, len(commands) - 1, None,
                          f"{len(replies)} replies of Redis, {len(others)} of weir")
    return absent
