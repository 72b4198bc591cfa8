"""What bench/failover looks at: three members, each in a network namespace of its own, and a client
that knows all their addresses.

The process that uses this is in a namespace without anything (bench/failover puts itself there): it
holds a bridge and the client.  Each member is at the other end of a veth of that bridge.  All of
these belong to processes that die with this one, so nothing is left whatever happens, and nothing
that the machine has is touched.
"""

import collections
import ctypes
import os
import selectors
import signal
import socket
import subprocess
import threading
import time

NETWORK = "10.113.7"
CLIENT_PORT, PEER_PORT = 7379, 7380
READY_S = 30
PR_SET_PDEATHSIG = 1
CUT = ("table inet cut {\n"
       " chain in { type filter hook prerouting priority -300; policy drop; }\n"
       " chain out { type filter hook postrouting priority 300; policy drop; }\n"
       "}\n")


class Failure(Exception):
    """The measurement cannot go on; the text says what, where and what to do."""


def die_with_parent():
    """In a child, before its program begins."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def run(*command, stdin=None):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


# ---- members ---------------------------------------------------------------------------------

class Member:
    """One node: its namespace, its files, and while it runs a process."""

    def __init__(self, number, program, config, log, words):
        self.number, self.address = number, f"{NETWORK}.{number}"
        self.command = [program, "serve", "--config", config, *words]
        self.log_path = log
        self.process = None
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"],
                                       preexec_fn=die_with_parent)
        self.network = f"--net=/proc/{self.holder.pid}/ns/net"
        self.wire()

    def inside(self, *command, stdin=None):
        return run("nsenter", self.network, *command, stdin=stdin)

    def wire(self):
        """Its end of a veth; the other one is a port of the bridge."""
        own = os.stat("/proc/self/ns/net").st_ino
        deadline = time.monotonic() + READY_S
        while os.stat(f"/proc/{self.holder.pid}/ns/net").st_ino == own:
            if self.holder.poll() is not None or time.monotonic() > deadline:
                raise Failure("unshare --net makes no network namespace")
            time.sleep(0.005)
        name = f"member{self.number}"
        run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns",
            str(self.holder.pid))
        run("ip", "link", "set", name, "master", "hub", "up")
        self.inside("ip", "link", "set", "lo", "up")
        self.inside("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.inside("ip", "link", "set", "eth0", "up")

    def start(self):
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(["nsenter", self.network, *self.command],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=die_with_parent)

    def log_tail(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()[-2000:]

    def kill(self):
        self.process.kill()

    def restart(self):
        self.process.wait()
        self.start()

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def cut(self):
        """From all others, in both directions, without a word to anybody."""
        self.inside("nft", "-f", "-", stdin=CUT)

    def mend(self):
        self.inside("nft", "delete", "table", "inet", "cut")

    def ask(self, password):
        """INFO raft as a table; empty if it does not answer."""
        text = b""
        try:
            with socket.create_connection((self.address, CLIENT_PORT), timeout=1) as link:
                link.sendall(b"AUTH %s\r\nINFO raft\r\n" % password.encode())
                while b"\r\n\r\n" not in text and len(text) < 1 << 16:
                    piece = link.recv(1 << 16)
                    if not piece:
                        break
                    text += piece
                    if text.count(b"raft_peer_1:") and text.endswith(b"\r\n"):
                        break
        except OSError:
            return {}
        return dict(line.split(":", 1) for line in text.decode(errors="replace").splitlines()
                    if ":" in line)


class Cluster:
    """Three members as weir init makes them."""

    def __init__(self, program, scratch, words):
        self.members = []
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "hub", "type", "bridge")
        run("ip", "address", "add", f"{NETWORK}.254/24", "dev", "hub")
        run("ip", "link", "set", "hub", "up")
        where = ",".join(f"{n}={NETWORK}.{n}:{PEER_PORT}" for n in (1, 2, 3))
        run(program, "init", "--cluster", "failover", "--members", where, "--out",
            f"{scratch}/files", "--etc", f"{scratch}/files", "--var", scratch)
        for number in (1, 2, 3):
            config = f"{scratch}/files/weir-{number}.conf"
            run(program, "init", "--config", config)
            with open(config, encoding="utf-8") as file:
                self.password = next(line.split()[1] for line in file if "requirepass" in line)
            self.members.append(Member(number, program, config, f"{scratch}/{number}.log", words))
        for member in self.members:
            member.start()

    def end(self):
        for member in self.members:
            if member.process is not None:
                member.process.kill()
                member.process.wait()
            member.holder.kill()
            member.holder.wait()

    def logs(self):
        return "\n".join(f"member {m.number}:\n{m.log_tail()}" for m in self.members)

    def settled(self):
        """Who leads, if all say so and all have what it has; otherwise None."""
        known = [member.ask(self.password) for member in self.members]
        if not all(known) or len({(k.get("raft_term"), k.get("raft_leader")) for k in known}) != 1:
            return None
        number = int(known[0].get("raft_leader", "0"))
        if number == 0:
            return None
        rows = [dict(word.split("=", 1) for word in known[number - 1][key].split(","))
                for key in known[number - 1] if key.startswith("raft_peer_")]
        whole = len(rows) == 2 and all(row.get("state") == "replicate" and int(row["lag"]) < 100
                                       and row["contact_ms"].isdigit()
                                       and int(row["contact_ms"]) < 100 for row in rows)
        return self.members[number - 1] if whole else None

    def wait_settled(self):
        deadline = time.monotonic() + READY_S
        while (leader := self.settled()) is None:
            for member in self.members:
                if member.process.poll() is not None:
                    raise Failure(f"member {member.number} has ended with status "
                                  f"{member.process.returncode}\n{member.log_tail()}")
            if time.monotonic() > deadline:
                raise Failure(f"the members do not come together within {READY_S} s\n{self.logs()}")
            time.sleep(0.05)
        return leader


# ---- what the machine itself did ----------------------------------------------------------------

PROBE_S = 0.02  # between two of its writes
PROBES_KEPT = 4096


class Disk(threading.Thread):
    """Makes a small file durable again and again, beside the members: what it waits, they wait."""

    def __init__(self, scratch):
        super().__init__(daemon=True)
        self.file = os.open(os.path.join(scratch, "probe"), os.O_CREAT | os.O_WRONLY, 0o600)
        self.took = collections.deque(maxlen=PROBES_KEPT)  # (begin, end)
        self.begun = None  # of the one under way
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(PROBE_S):
            self.begun = begin = time.monotonic()
            os.pwrite(self.file, b"." * 4096, 0)
            os.fdatasync(self.file)
            self.begun = None
            self.took.append((begin, time.monotonic()))

    def longest_s(self, since, until):
        """Of those that were under way between two moments."""
        begun = self.begun
        took = list(self.took) + ([(begun, until)] if begun is not None and begun < until else [])
        return max((end - begin for begin, end in took if end >= since and begin <= until),
                   default=0.0)


# ---- the client ------------------------------------------------------------------------------

TICK_S = 0.002          # a write so often, whatever became of those before
DOUBT_S = 0.010         # without an acknowledgement for so long, all are asked
RETRY_S = 0.010         # between two attempts to connect
CONNECT_S = 0.200       # for one attempt
SILENT_S = 1.0          # a connection that answers nothing for so long is given up
UNANSWERED_MAX = 20000  # writes of one connection


class Link:
    """A connection to one member, there or not."""

    def __init__(self, member):
        self.member = member
        self.socket = None
        self.open = False
        self.since = 0.0  # of the last attempt
        self.sent = collections.deque()  # of what is not answered: when, and whether it is a write
        self.data = b""


class Writer(threading.Thread):
    """An open loop of small writes; keeps when each member last acknowledged one, and first."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.links = [Link(member) for member in cluster.members]
        self.hello = b"AUTH %s\r\n" % cluster.password.encode()
        self.selector = selectors.DefaultSelector()
        self.leader = 0       # index of the link that is believed to lead
        self.acked_at = 0.0   # the last acknowledgement of all
        self.late_s = 0.0     # the latest that it ever was since this was set back
        self.count = self.acked = self.refused = 0
        self.last = {1: 0.0, 2: 0.0, 3: 0.0}  # of each member
        self.watch = None     # the number of who leads; others' first acknowledgement ends it
        self.first = None     # (moment, member number)
        self.found = threading.Event()
        self.ends = False

    def expect_change(self, member):
        """From now on the first acknowledgement of another member counts."""
        self.first = None
        self.found.clear()
        self.watch = member.number

    def run(self):
        due = time.monotonic()
        while not self.ends:
            for key, _ in self.selector.select(max(0.0, due - time.monotonic())):
                self.ready(key.data)
            now = time.monotonic()
            if now >= due:
                self.late_s = max(self.late_s, now - due)
                self.tick(now)
                due = max(due + TICK_S, now)  # what a stalled client missed is not made up for

    def tick(self, now):
        for link in self.links:
            if link.socket is None and now - link.since >= RETRY_S:
                self.connect(link, now)
            elif link.socket is not None and not link.open and now - link.since >= CONNECT_S:
                self.drop(link)
            elif link.sent and now - link.sent[0][0] >= SILENT_S:
                self.drop(link)
        doubt = now - self.acked_at >= DOUBT_S
        for place, link in enumerate(self.links):
            if link.open and (doubt or place == self.leader):
                self.count += 1
                self.send(link, b"SET failover:%d %d\r\n" % (self.count % 1000, self.count), now,
                          True)

    def connect(self, link, now):
        link.since, link.data = now, b""
        link.sent.clear()
        link.socket = socket.socket()
        link.socket.setblocking(False)
        link.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.socket.connect_ex((link.member.address, CLIENT_PORT))
        self.selector.register(link.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, link)

    def drop(self, link):
        self.selector.unregister(link.socket)
        link.socket.close()
        link.socket, link.open = None, False
        link.sent.clear()

    def send(self, link, data, now, is_write):
        try:
            if len(link.sent) >= UNANSWERED_MAX or link.socket.send(data) != len(data):
                raise OSError("it takes no more")
        except OSError:
            self.drop(link)
            return
        link.sent.append((now, is_write))

    def ready(self, link):
        if not link.open:
            if link.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
                self.drop(link)
                return
            link.open = True
            self.selector.modify(link.socket, selectors.EVENT_READ, link)
            self.send(link, self.hello, time.monotonic(), False)
            return
        try:
            piece = link.socket.recv(1 << 16)
        except OSError:
            piece = b""
        if not piece:
            self.drop(link)
            return
        lines = (link.data + piece).split(b"\r\n")
        link.data = lines.pop()
        now = time.monotonic()
        for line in lines:
            if not link.sent:
                break  # dropped meanwhile, or it answers what nobody asked
            _, is_write = link.sent.popleft()
            if is_write:
                self.answer(link, line, now)

    def answer(self, link, line, now):
        if line == b"+OK":
            self.acked += 1
            self.acked_at = now
            self.leader = self.links.index(link)
            number = link.member.number
            self.last[number] = now
            if self.watch is not None and number != self.watch and self.first is None:
                self.first = (now, number)
                self.watch = None
                self.found.set()
        elif line.startswith(b"-MOVED "):
            self.refused += 1
            host = line.split()[2].rpartition(b":")[0].decode()
            for place, other in enumerate(self.links):
                if other.member.address == host:
                    self.leader = place
        else:
            self.refused += 1
