"""A stream: the commands that one connection sends, and where its bytes are cut.

It comes from a seed alone. A piece is sent only when every command before it that is whole has
been answered: so the servers do see the pieces apart, and what is between two cuts is pipelined.
"""

from commands import ROWS
from kinds import Draw
from weir_test import request

COMMANDS_MAX = 60
INLINE_ONE_IN = 7
RESP3_SHARE = 0.4
END_ONE_IN = 6  # streams whose last command ends the connection
UNKNOWN_ONE_IN = 60
CUTS_MAX = 8
UNKNOWN = (b"nosuchcommand", b"", b"get ", b"se\x00t", b"client|list", b"x" * 200, b"\xff\xfe")
UNKNOWN_SUB = ((b"CLIENT", b"NOTHING"), (b"CONFIG", b""), (b"COMMAND", b"\xff"),
               (b"CLUSTER", b"x" * 200), (b"CLIENT",), (b"CONFIG",), (b"CLUSTER",))
# What ends a connection by being no RESP, or no line that can be split.
MALFORMED = (
    b"*1\r\n$-1\r\n", b"*x\r\n", b"*1\r\n:1\r\n", b"*2\r\n$3\r\nGET\r\n$x\r\n", b"*\r\n",
    b"*2147483648\r\n", b"*99999999999999999999\r\n", b"*1\r\n$16777217\r\n", b"GET \"a\r\n",
    b"GET 'a\r\n", b"GET \"a\"b\r\n", b"*1\r\nPING\r\n", b"*1\r\n$\r\n", b"*01\r\n", b"*+1\r\n",
    b"*1\r\n$+4\r\n", b"*1\r\n$04\r\nPING\r\n",
)
# What is between commands and gets no reply.
SILENT = (b"\r\n", b"*0\r\n", b"*-1\r\n", b"   \r\n", b"\n")


class Command:
    """One request: its words, its bytes, and whether the connection must end after it."""

    def __init__(self, words, data, row=None, labels=frozenset(), ends=False):
        self.words = words
        self.data = data
        self.row = row
        self.labels = labels
        self.ends = ends


class Stream:
    def __init__(self, seed, commands, cuts=()):
        self.seed = seed
        self.commands = commands
        self.cuts = cuts  # places in the bytes of all commands together

    def pieces(self):
        """(bytes, how many commands are whole with them)"""
        data = b"".join(command.data for command in self.commands)
        ends, at = [], 0
        for command in self.commands:
            at += len(command.data)
            ends.append(at)
        begin, whole = 0, 0
        for cut in sorted({cut for cut in self.cuts if 0 < cut < len(data)} | {len(data)}):
            while whole < len(ends) and ends[whole] <= cut:
                whole += 1
            yield data[begin:cut], whole
            begin = cut


def quoted(draw, word):
    """A word as an inline command has it."""
    plain = word and all(33 <= byte < 127 and byte not in b"\"'\\" for byte in word)
    if plain and not draw.one_in(4):
        return word
    if draw.one_in(3) and all(32 <= byte < 127 and byte not in b"\\" for byte in word):
        return b"'" + word.replace(b"'", b"\\'") + b"'"
    return b'"' + b"".join(escaped(byte) for byte in word) + b'"'


def escaped(byte):
    special = {10: b"\\n", 13: b"\\r", 9: b"\\t", 7: b"\\a", 8: b"\\b", 34: b'\\"', 92: b"\\\\"}
    if byte in special:
        return special[byte]
    return b"%c" % byte if 32 <= byte < 127 else b"\\x%02x" % byte


def encode(draw, words):
    """The bytes of a command, and whether it is inline."""
    if draw.one_in(INLINE_ONE_IN) and sum(map(len, words)) < 10000:
        inline = b" ".join(quoted(draw, word) for word in words)
        return inline + draw.choice((b"\r\n", b"\r\n", b"\n")), True
    return request(*words), False


def make_command(draw, row, resp3):
    words, labels = row.make(draw)
    data, inline = encode(draw, words)
    if draw.one_in(30):
        data = draw.choice(SILENT) + data
    labels = labels | ({"inline"} if inline else set()) | ({"resp 3"} if resp3 else set())
    return Command(words, data, row, labels, ends=row.ends)


def make_stream(seed, servers, rows=None, first=()):
    """The stream of a seed; of `rows` alone if they are given. It begins with the words `first`."""
    draw = Draw(seed)
    resp3 = draw.random.random() < RESP3_SHARE
    begin = [*first] + ([(b"HELLO", b"3")] if resp3 else [])
    commands = [Command(words, request(*words)) for words in begin]
    usual = [row for row in rows or ROWS if row.servers == servers and not row.ends]
    weights = [row.weight for row in usual]
    for _ in range(draw.between(1, COMMANDS_MAX) if usual else 0):
        if draw.one_in(UNKNOWN_ONE_IN):
            words = draw.choice([(word, b"a", b"b" * 150) for word in UNKNOWN] + [*UNKNOWN_SUB])
            commands.append(Command(words, request(*words)))
        else:
            row = draw.random.choices(usual, weights)[0]
            commands.append(make_command(draw, row, resp3))
    ends = [row for row in rows or ROWS if row.servers == servers and row.ends]
    if ends and (rows or draw.one_in(END_ONE_IN)):
        commands.append(make_command(draw, draw.choice(ends), resp3))
    elif draw.one_in(END_ONE_IN):
        data = draw.choice(MALFORMED) + request("PING")
        commands.append(Command((data,), data, ends=True))
    length = sum(len(command.data) for command in commands)
    cuts = [draw.between(1, length) for _ in range(draw.choice((0, 1, 2, CUTS_MAX)))]
    return Stream(seed, commands, cuts + before_resets(commands))


def before_resets(commands):
    """Where each RESET begins. Debian's Redis closes a connection without a word that has long
    replies before it and is not authenticated any more (its mend of CVE-2025-21605)."""
    found, at = [], 0
    for command in commands:
        if command.words[0].lower() == b"reset":
            found.append(at)
        at += len(command.data)
    return found
