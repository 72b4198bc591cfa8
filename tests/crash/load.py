"""Load whose every acknowledgement is remembered, and the check of what a restarted node holds.

Each lane is one connection with keys of its own. It keeps a pipeline of requests under way and
knows what each of them must answer. When the node dies, a lane has acknowledged operations and, in
the order sent, unacknowledged ones. The log is one order and a connection's operations stand in it
in program order, so after the restart

    the lane's keys hold what was acknowledged, and of the rest a prefix, each operation whole.

That one rule covers lost writes (shorter than the prefix 0), half applied ones (no prefix gives
this state: an MSET of five keys with three of them), writes applied twice (INCR, APPEND) and
reordered ones. Keys shared by all lanes are checked beside it: a counter must lie between what the
prefixes contain at least and at most, and a group of keys always written together must be equal.
"""

import collections
import os
import random
import selectors
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import ErrorReply, Incomplete, LIMIT_S, decode, request  # noqa: E402

# What an operation must answer: a value, or this: checked elsewhere.
ANY = object()

SHARED_COUNTER = b"shared:counter"
SHARED_GROUP = [b"shared:group:%d" % i for i in range(6)]

Operation = collections.namedtuple("Operation", "words expected effects counts")


class Lane:
    """One connection's operations: made, under way, acknowledged."""

    STRINGS, COUNTERS, APPENDED = 16, 3, 3

    def __init__(self, number, rng):
        self.number = number
        self.rng = rng
        self.serial = 0
        self.acknowledged = {}  # key -> value, after all acknowledged operations
        self.ahead = {}         # the same after all that were sent
        self.pending = collections.deque()
        self.ends = collections.deque()  # where each of them ends in the connection's bytes
        self.made_bytes = 0     # of all operations of this connection
        self.handed_bytes = 0   # of them, so many the socket took
        self.unknown = []       # answered by "may or may not have been applied"
        self.failed = False
        self.acknowledged_counts = 0  # INCRs of the shared counter, since the last verification
        self.last_shared = 0
        self.socket = None

    def key(self, kind, index):
        return b"lane:%d:%b:%d" % (self.number, kind, index)

    def value(self):
        """A value that never occurs twice, of a random length."""
        self.serial += 1
        head = b"%d.%d." % (self.number, self.serial)
        return head + b"x" * self.rng.choice((0, 3, 40, 64, 64, 200, 1500))

    def make(self):
        """The next operation, chosen at random; `ahead` moves on."""
        choice, rng = self.rng.random(), self.rng
        if choice < 0.35:
            key, value = self.key(b"string", rng.randrange(self.STRINGS)), self.value()
            made = Operation((b"SET", key, value), "OK", [(key, value)], 0)
        elif choice < 0.50:
            key = self.key(b"counter", rng.randrange(self.COUNTERS))
            number = int(self.ahead.get(key, 0)) + 1
            made = Operation((b"INCR", key), number, [(key, b"%d" % number)], 0)
        elif choice < 0.62:
            key = self.key(b"appended", rng.randrange(self.APPENDED))
            value = self.ahead.get(key, b"") + self.value()
            if len(value) > 4000:
                made = Operation((b"DEL", key), 1 if key in self.ahead else 0, [(key, None)], 0)
            else:
                piece = value[len(self.ahead.get(key, b"")):]
                made = Operation((b"APPEND", key, piece), len(value), [(key, value)], 0)
        elif choice < 0.76:
            indexes = rng.sample(range(self.STRINGS), 5)
            pairs = [(self.key(b"string", index), self.value()) for index in indexes]
            made = Operation((b"MSET", *[word for pair in pairs for word in pair]), "OK", pairs, 0)
        elif choice < 0.82:
            keys = [self.key(b"string", index) for index in rng.sample(range(self.STRINGS), 2)]
            made = Operation((b"DEL", *keys), sum(key in self.ahead for key in keys),
                             [(key, None) for key in keys], 0)
        elif choice < 0.88:
            made = Operation((b"INCR", SHARED_COUNTER), ANY, [], 1)
        elif choice < 0.94:
            value = self.value()
            words = [word for key in SHARED_GROUP for word in (key, value)]
            made = Operation((b"MSET", *words), "OK", [], 0)
        else:
            key = self.key(b"string", rng.randrange(self.STRINGS))
            made = Operation((b"GET", key), self.ahead.get(key), [], 0)
        put(self.ahead, made.effects)
        return made

    def fill(self, depth):
        """Puts operations under way up to `depth`, and returns their bytes."""
        made = []
        for _ in range(depth - len(self.pending)):
            operation = self.make()
            made.append(request(*operation.words))
            self.made_bytes += len(made[-1])
            self.pending.append(operation)
            self.ends.append(self.made_bytes)
        return b"".join(made)

    def begin(self, connection, depth):
        """A new connection, with nothing under way."""
        self.ahead = dict(self.acknowledged)
        self.depth, self.received, self.unsent = depth, bytearray(), bytearray()
        self.made_bytes = self.handed_bytes = 0
        self.failed = False
        self.socket = connection

    def in_flight(self):
        """Operations that the node may have: whole in the socket, and no answer told their fate."""
        return len(self.unknown) + sum(end <= self.handed_bytes for end in self.ends)

    def take(self, reply):
        """Takes the reply to the oldest operation under way; True if it is an acknowledgement."""
        operation = self.pending.popleft()
        self.ends.popleft()
        if isinstance(reply, ErrorReply):
            # A node that fails says so. UNKNOWN: it may have been applied; CLUSTERDOWN: it was not.
            if reply.args[0].startswith("UNKNOWN "):
                self.unknown.append(operation)
            elif not reply.args[0].startswith("CLUSTERDOWN "):
                raise AssertionError(f"{operation.words[:2]} was answered by the error {reply}")
            self.failed = True
            return False
        if self.failed:
            # After a refusal reads may go on, without the refused write; after an unknown outcome
            # not even these, since they would have to wait for it.
            if operation.words[0] == b"GET" and not self.unknown:
                return False
            raise AssertionError(f"{operation.words[:2]} was answered {reply!r} after an operation "
                                 "before it on the same connection had failed")
        self.acknowledge(operation, reply)
        return True

    def acknowledge(self, operation, reply):
        if operation.expected is not ANY and reply != operation.expected:
            raise AssertionError(f"lane {self.number}: {operation.words[:2]} was answered "
                                 f"{reply!r}, not {operation.expected!r}")
        if operation.counts:
            if reply <= self.last_shared:
                raise AssertionError(f"the shared counter went from {self.last_shared} to {reply}")
            self.last_shared = reply
            self.acknowledged_counts += 1
        put(self.acknowledged, operation.effects)

    def prefixes(self, found):
        """The numbers of unacknowledged operations that, applied, give the state `found`."""
        state, matching = dict(self.acknowledged), []
        if state == found:
            matching.append(0)
        for applied, operation in enumerate(self.pending, 1):
            put(state, operation.effects)
            if state == found:
                matching.append(applied)
        return matching

    def all_keys(self):
        return [self.key(kind, index)
                for kind, count in ((b"string", self.STRINGS), (b"counter", self.COUNTERS),
                                    (b"appended", self.APPENDED))
                for index in range(count)]

    def difference(self, found):
        """A sentence about a state that no prefix explains."""
        changed = {key for operation in self.pending for key, _ in operation.effects}
        lost = [key.decode() for key in self.all_keys()
                if key not in changed and found.get(key) != self.acknowledged.get(key)]
        if lost:
            return f"lane {self.number}: acknowledged writes are lost, of {', '.join(lost)}"
        return (f"lane {self.number}: no prefix of its {len(self.pending)} unacknowledged "
                "operations gives what is there: lost, half applied, twice or out of order")


def put(state, effects):
    for key, value in effects:
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value


class Load:
    """Lanes at different depths, driven by one thread until the node is gone."""

    DEPTHS = (1, 1, 4, 16, 16, 64, 128, 256)

    def __init__(self, seed):
        rng = random.Random(seed)
        self.lanes = [Lane(number, random.Random(rng.random()))
                      for number in range(len(self.DEPTHS))]
        self.counter = 0  # the shared counter when last verified
        self.operations = 0  # acknowledged, ever
        self.acknowledged = 0  # the same of the last run
        self.in_flight = 0  # when the last run ended

    def connect(self, port):
        """Connects every lane, and sends nothing yet."""
        for lane, depth in zip(self.lanes, self.DEPTHS):
            connection = socket.create_connection(("127.0.0.1", port), LIMIT_S)
            connection.setblocking(False)
            lane.begin(connection, depth)

    def run(self):
        """Drives the node until it has closed every connection."""
        acknowledged_before = self.operations
        selector = selectors.DefaultSelector()
        for lane in self.lanes:
            lane.unsent += lane.fill(lane.depth)
            selector.register(lane.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, lane)
        last_reply = time.monotonic()
        while selector.get_map():
            ready = selector.select(1)
            if any(events & selectors.EVENT_READ for _, events in ready):
                last_reply = time.monotonic()
            elif time.monotonic() - last_reply > LIMIT_S:
                raise TimeoutError("the node has stopped answering")
            for key, events in ready:
                if not self.serve(key.data, events, selector):
                    selector.unregister(key.data.socket)
                    key.data.socket.close()
        self.acknowledged = self.operations - acknowledged_before
        self.in_flight = sum(lane.in_flight() for lane in self.lanes)
        # What was answered as unknown comes first: it was sent before what was not answered.
        for lane in self.lanes:
            lane.pending.extendleft(reversed(lane.unknown))
            lane.unknown.clear()

    def serve(self, lane, events, selector):
        """One lane's turn; False when its connection has ended."""
        try:
            if events & selectors.EVENT_READ:
                data = lane.socket.recv(1 << 18)
                if not data:
                    return False
                lane.received += data
                self.take(lane)
                if len(lane.pending) <= lane.depth // 2 and not lane.failed:
                    lane.unsent += lane.fill(lane.depth)
        except ConnectionError:
            return False
        # A send that fails is no end: acknowledgements may still stand in the receive buffer.
        try:
            if lane.unsent:
                sent = lane.socket.send(lane.unsent)
                lane.handed_bytes += sent
                del lane.unsent[:sent]
        except BlockingIOError:
            pass
        except ConnectionError:
            lane.unsent.clear()
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if lane.unsent else 0)
        if selector.get_key(lane.socket).events != wanted:
            selector.modify(lane.socket, wanted, lane)
        return True

    def take(self, lane):
        at = 0
        while at < len(lane.received):
            try:
                reply, at = decode(lane.received, at)
            except Incomplete:
                break
            self.operations += lane.take(reply)
        del lane.received[:at]

    def was_under_way(self):
        """True if the last run's end came between acknowledgements: after some, before others."""
        return self.acknowledged > 0 and self.in_flight > 0

    def forget(self):
        """What is verified next is a new, empty node."""
        self.counter = 0
        for lane in self.lanes:
            lane.acknowledged, lane.acknowledged_counts = {}, 0
            lane.pending.clear()
            lane.ends.clear()

    def verify(self, client):
        """
        Compares the restarted node with what was acknowledged; returns the violations as
        sentences. Afterwards what is there is taken as acknowledged.
        """
        wrong = []
        counts = [0, 0]
        records = 0
        for lane in self.lanes:
            keys = lane.all_keys()
            found = {key: value for key, value in zip(keys, client.call("MGET", *keys))
                     if value is not None}
            records += len(found)
            matching = lane.prefixes(found)
            if not matching:
                wrong.append(lane.difference(found))
            pending = list(lane.pending)
            for bound, applied in enumerate((matching[0], matching[-1]) if matching
                                            else (0, len(pending))):
                counts[bound] += lane.acknowledged_counts + sum(
                    operation.counts for operation in pending[:applied])
            lane.acknowledged, lane.acknowledged_counts = found, 0
            lane.pending.clear()
            lane.ends.clear()
        wrong += self.verify_shared(client, counts)
        group = client.call("MGET", *SHARED_GROUP)
        records += sum(value is not None for value in (*group, client.call("GET", SHARED_COUNTER)))
        if len(set(group)) != 1:
            wrong.append(f"an MSET is half applied: {group}")
        size = client.call("DBSIZE")
        if size != records:
            wrong.append(f"DBSIZE is {size}, but {records} keys are there")
        return wrong

    def verify_shared(self, client, counts):
        counter = int(client.call("GET", SHARED_COUNTER) or 0)
        lowest, highest = self.counter + counts[0], self.counter + counts[1]
        self.counter = counter
        for lane in self.lanes:
            lane.last_shared = counter
        if not lowest <= counter <= highest:
            return [f"the shared counter is {counter}, not between {lowest} and {highest}"]
        return []
