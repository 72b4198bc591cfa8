"""What a member sends to another one goes through here, and may be delayed, doubled, changed, cut.

A thread for each node, in the node's network namespace. It listens for the node's own connections
to each other member (the address book of the node names these ports) and passes on what comes to
the member itself, frame by frame (the first four bytes of a frame are its length). What a member
says to the other one goes over connections that it has opened, so each way between two nodes has
settings of its own. Handshakes are treated as all else.

It counts what it does to frames (`counts`), and the bytes that were stuck in it: by these a fault
asserts that it befell somebody. A proxy that dies fails the run: whoever changes its settings
learns of it (`wake`), and the world asks (`check`).

Frames between members are numbered and authenticated: one that is changed, doubled, out of order or
of another connection must end the connection, and nothing behind it may count.
"""

import collections
import contextlib
import ctypes
import fcntl
import heapq
import os
import random
import selectors
import socket
import struct
import termios
import threading
import time

FRAME_BYTES_MIN, FRAME_BYTES_MAX = 40, 256 << 20
HELD_BYTES_MAX = 8 << 20  # of a connection; one frame more is taken
RECEIVE_BYTES = 1 << 18
CLONE_NEWNET = 0x40000000
SORT_AT, SORT_DATA = 40 + 12, 2  # of a connection, in its HELLO: docs/formats.md
LISTEN_PORT = 7400  # and the member's number
WAKE_S = 10.0       # until the proxy's thread has heard; it does nothing that takes long


class Way:
    """What is done to frames from one node to another. Shares are of all frames, 0 to 1."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.clogged = False      # nothing is read and nothing is sent on
        self.data_clogged = False # the same, once they are open, of connections for entries alone
        self.delay_s = 0.0
        self.jitter_s = 0.0       # more delay, evenly from 0 to this
        self.doubled = 0.0
        self.swapped = 0.0        # sent behind the next one
        self.flipped = 0.0        # a bit of it
        self.cut = 0.0            # the connection ends inside the frame
        self.replayed = 0.0       # a frame of an earlier connection comes before it


class Pipe:
    """One connection of an opener, and the one to the acceptor that belongs to it."""

    def __init__(self, proxy, way, near, far):
        self.proxy, self.way, self.near, self.far = proxy, way, near, far
        self.arrived = bytearray()          # less than a frame
        self.held = collections.deque()     # (when it is due, bytes)
        self.held_bytes = 0
        self.outgoing = bytearray()         # to the acceptor
        self.answers = bytearray()          # to the opener
        self.aside = None                   # waits for the next frame
        self.due = 0.0                      # of the last one
        self.connected = self.near_ended = self.is_cut = self.closed = False
        self.sort = None                    # of the connection, as its HELLO has it
        self.was_clogged = way.clogged
        proxy.selector.register(near, selectors.EVENT_READ, self.near_ready)
        proxy.selector.register(far, selectors.EVENT_WRITE, self.far_ready)
        self.wanted = {near: selectors.EVENT_READ, far: selectors.EVENT_WRITE}

    def close(self):
        if self.closed:
            return
        self.closed = True
        self.was_clogged = self.was_clogged or self.is_clogged()  # it may not have been told yet
        self.count_stuck()
        for end in (self.near, self.far):
            if self.wanted[end]:
                self.proxy.selector.unregister(end)
            end.close()
        self.proxy.pipes.discard(self)

    def is_clogged(self):
        return self.way.clogged or (self.way.data_clogged and self.sort == SORT_DATA)

    def reset(self):
        """Both ends are told that it is broken, not that it has ended."""
        for end in (self.near, self.far):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.proxy.counts["reset"] += 1
        self.close()

    def count_stuck(self):
        """The bytes that waited while nothing was let through, once that is over."""
        if self.was_clogged:
            unread = struct.unpack("i", fcntl.ioctl(self.near, termios.FIONREAD, bytes(4)))[0]
            self.proxy.counts["stuck"] += unread + len(self.arrived) + self.held_bytes + \
                len(self.outgoing)
        self.was_clogged = False

    def settings_changed(self):
        if self.is_clogged():
            self.was_clogged = True
        else:
            self.count_stuck()
        self.release()

    def want(self, end, events):
        selector, before = self.proxy.selector, self.wanted[end]
        if events == before:
            return
        ready = self.near_ready if end is self.near else self.far_ready
        if not before:
            selector.register(end, events, ready)
        elif not events:
            selector.unregister(end)
        else:
            selector.modify(end, events, ready)
        self.wanted[end] = events

    def update(self):
        """Closes what has ended, and asks for the events that matter now."""
        if self.closed:
            return
        if (self.near_ended or self.is_cut) and not self.held and not self.outgoing:
            self.close()
            return
        reads = not (self.near_ended or self.is_cut or self.is_clogged()) and \
            self.held_bytes < HELD_BYTES_MAX
        sends = not self.connected or (self.outgoing and not self.is_clogged())
        self.want(self.near, (selectors.EVENT_READ if reads else 0) |
                  (selectors.EVENT_WRITE if self.answers and not self.near_ended else 0))
        self.want(self.far, (selectors.EVENT_READ if self.connected else 0) |
                  (selectors.EVENT_WRITE if sends else 0))

    def near_ready(self, events):
        try:
            if events & selectors.EVENT_WRITE and self.answers:
                del self.answers[:self.near.send(self.answers)]
            if events & selectors.EVENT_READ:
                data = self.near.recv(RECEIVE_BYTES)
                self.near_ended = not data
                self.arrived += data
                self.take_frames()
        except BlockingIOError:
            pass
        except OSError:
            self.near_ended = True
        self.release()

    def far_ready(self, events):
        try:
            if not self.connected:
                error = self.far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise ConnectionError(error)
                self.connected = True
            if events & selectors.EVENT_READ:
                data = self.far.recv(RECEIVE_BYTES)
                if not data:
                    raise ConnectionError("it has closed")
                self.answers += data
            if self.outgoing and not self.is_clogged():
                del self.outgoing[:self.far.send(self.outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self.say_goodbye()
            self.close()
        self.update()

    def say_goodbye(self):
        """The acceptor has closed: its last words are the opener's reason."""
        try:
            self.near.send(self.answers)
        except OSError:
            pass

    def take_frames(self):
        at = 0
        while len(self.arrived) - at >= 4 and not self.is_cut:
            length, = struct.unpack_from("<I", self.arrived, at)
            if not FRAME_BYTES_MIN <= length <= FRAME_BYTES_MAX:
                length = len(self.arrived) - at  # no frame: as it is
            if len(self.arrived) - at < length:
                break
            self.take(bytes(self.arrived[at:at + length]))
            at += length
        del self.arrived[:at]

    def take(self, frame):
        """What becomes of a frame."""
        way, rng, counts = self.way, self.proxy.rng, self.proxy.counts
        counts["frames"] += 1
        if self.sort is None and len(frame) > SORT_AT:
            self.sort = frame[SORT_AT]
        old = self.proxy.kept.get(way)
        if old is not None and old[0] is not self and rng.random() < way.replayed:
            counts["replayed"] += 1
            self.hold(old[1])
        if way.replayed and rng.random() < 0.1:
            self.proxy.kept[way] = (self, frame)
        if rng.random() < way.flipped:
            counts["flipped"] += 1
            place = rng.randrange(len(frame))
            frame = frame[:place] + bytes([frame[place] ^ 1 << rng.randrange(8)]) + \
                frame[place + 1:]
        if rng.random() < way.cut:
            counts["cut"] += 1
            self.hold(frame[:rng.randrange(len(frame))])
            self.is_cut = True
            return
        if self.aside is None and rng.random() < way.swapped:
            counts["swapped"] += 1
            self.aside = frame
            return
        self.hold(frame)
        if self.aside is not None:
            self.hold(self.aside)
            self.aside = None
        if rng.random() < way.doubled:
            counts["doubled"] += 1
            self.hold(frame)

    def hold(self, data):
        way = self.way
        now = time.monotonic()
        delay = way.delay_s + way.jitter_s * self.proxy.rng.random() if way.delay_s else 0.0
        self.proxy.counts["delayed"] += delay > 0
        self.due = max(self.due, now + delay)
        self.held.append((self.due, data))
        self.held_bytes += len(data)
        if self.due > now:
            self.proxy.remind(self.due, self)

    def release(self):
        """Sends on what is due."""
        if self.closed:
            return
        now = time.monotonic()
        while self.held and self.held[0][0] <= now:
            data = self.held.popleft()[1]
            self.held_bytes -= len(data)
            self.outgoing += data
        if self.outgoing and self.connected:
            self.far_ready(0)
        else:
            self.update()


class Proxy(threading.Thread):
    """Of one node. `path` is its network namespace; `targets` are the other members' addresses."""

    def __init__(self, path, targets, seed):
        super().__init__(daemon=True)
        self.path, self.targets = path, targets
        self.rng = random.Random(seed)
        self.ways = {number: Way() for number in targets}
        self.counts = collections.Counter()
        self.kept = {}        # way: the pipe and a frame of it
        self.pipes = set()
        self.reminders = []   # heap of (when, count, pipe)
        self.reminded = 0
        self.doomed = ()      # pipes to be reset
        self.ends = False
        self.failure = None
        self.listening = threading.Event()
        self.heard = threading.Event()
        self.selector = selectors.DefaultSelector()
        self.alarm, self.bell = socket.socketpair()

    def wake(self):
        """Settings have changed; returns when all connections go by them."""
        self.heard.clear()
        self.ring()
        end = time.monotonic() + WAKE_S
        while not self.heard.wait(0.05):
            self.check()
            assert time.monotonic() < end, f"the proxy at {self.path} does not hear"

    def ring(self):
        with contextlib.suppress(OSError):  # the thread has ended
            self.bell.send(b"!")

    def check(self):
        """Fails if the proxy has died."""
        assert self.failure is None and self.is_alive(), \
            f"the proxy at {self.path} has died: {self.failure!r}"

    def remind(self, when, pipe):
        self.reminded += 1
        heapq.heappush(self.reminders, (when, self.reminded, pipe))

    def close(self):
        self.ends = True
        self.ring()
        self.join()

    def listen(self):
        libc = ctypes.CDLL(None, use_errno=True)
        with open(self.path, "rb") as namespace:
            if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        for number in self.targets:
            listener = socket.create_server(("127.0.0.1", LISTEN_PORT + number))
            listener.setblocking(False)
            self.selector.register(
                listener, selectors.EVENT_READ,
                lambda _, listener=listener, number=number: self.accept(listener, number))
        self.selector.register(self.alarm, selectors.EVENT_READ, self.rung)
        self.listening.set()

    def rung(self, _):
        self.alarm.recv(4096)
        doomed, self.doomed = self.doomed, ()
        for pipe in doomed:
            if not pipe.closed:
                pipe.reset()
        for pipe in list(self.pipes):
            pipe.settings_changed()
        self.heard.set()

    def accept(self, listener, number):
        try:
            near, _ = listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # the node has given it up meanwhile
        near.setblocking(False)
        far = socket.socket()
        far.setblocking(False)
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        far.connect_ex(self.targets[number])
        self.pipes.add(Pipe(self, self.ways[number], near, far))

    def run(self):
        try:
            self.listen()
            self.carry()
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure  # told by whoever checks
            raise
        finally:
            self.end()

    def carry(self):
        while not self.ends:
            wait_s = None
            if self.reminders:
                wait_s = max(0.0, self.reminders[0][0] - time.monotonic())
            for key, events in self.selector.select(wait_s):
                if key.fileobj.fileno() >= 0:  # an earlier event may have closed it
                    key.data(events)
            while self.reminders and self.reminders[0][0] <= time.monotonic():
                heapq.heappop(self.reminders)[2].release()

    def end(self):
        for pipe in list(self.pipes):
            pipe.close()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()
