#!/usr/bin/env python3
"""What is configured wrongly is refused before anything is served: what, where, what to do."""

import os
import shutil
import subprocess
import sys
import tempfile

from cluster import Scratch, free_ports, weir

SECRET = "0123456789abcdef" * 4


class Case:
    """A scratch directory with a secret and a member's data directory."""

    def __init__(self, scratch):
        self.path = tempfile.mkdtemp(dir=scratch)
        self.secret = self.write("secret", SECRET + "\n", 0o600)
        self.data = os.path.join(self.path, "data")
        self.peers = ",".join(f"{i + 1}=127.0.0.1:{port}" for i, port in enumerate(free_ports(3)))

    def write(self, name, text, mode):
        path = os.path.join(self.path, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def init(self, members=None):
        made = weir("init", "--data", self.data, "--cluster", "test", "--id", "1", "--members",
                    members or self.peers)
        assert made.returncode == 0, made.stderr

    def options(self, **changed):
        options = {"data": self.data, "id": "1", "peers": self.peers, "secret-file": self.secret,
                   "listen": "127.0.0.1:0", **changed}
        return [word for name, value in options.items() if value is not None
                for word in ("--" + name, value)]

    def refused(self, status, *words, **changed):
        run = weir("serve", *self.options(**changed))
        assert run.returncode == status, (run.returncode, run.stderr)
        last = run.stderr.splitlines()[-1]
        assert last.startswith("weir serve: "), run.stderr
        for word in words:
            assert word in last, (word, last)


def peers_that_are_none(case):
    for peers in ("1", "1=", "1=h", "x=127.0.0.1:1", "0=127.0.0.1:1", "1=127.0.0.1:0",
                  "1=127.0.0.1:1,1=127.0.0.1:2", "1=127.0.0.1:1,2=127.0.0.1:1", "1=0.0.0.0:1",
                  "1=127.0.0.1:1,", "1=127.0.0.1:1/127.0.0.1:2", "1=127.0.0.1:65536"):
        case.refused(2, "--peers: peers", "is not possible", "N=HOST:PORT", peers=peers)
    case.refused(2, "peers name this node only", peers="1=127.0.0.1:1")
    case.refused(2, "no address of this node, 9", "N=HOST:PORT", id="9")
    case.refused(2, "which of them this node is", "--id N", id=None)


def a_member_does_not_keep_its_log_in_memory(case):
    """It would forget what others count on; a leader of that sort died when a member came back."""
    case.refused(2, "durability none is for a node alone", "fsync or write", durability="none")


def a_secret_has_to_be_named_or_done_without(case):
    case.refused(2, "no secret", "--secret-file", "--peer-authentication none",
                 **{"secret-file": None})
    case.refused(2, "leave one of both out", **{"peer-authentication": "none"})
    case.refused(2, "secret-file is for a node with peers", peers=None)
    case.refused(2, "peer-listen is for a node with peers",
                 **{"peers": None, "secret-file": None, "peer-listen": "127.0.0.1:1"})


def a_secret_that_others_can_read_is_refused(case):
    case.init()
    for mode in (0o640, 0o604, 0o660, 0o622, 0o610):
        os.chmod(case.secret, mode)
        case.refused(1, case.secret, f"{mode:04o}", "chmod 600")
    if os.geteuid() == 0:
        os.chmod(case.secret, 0o600)
        os.chown(case.secret, 12345, 12345)
        case.refused(1, case.secret, "belongs to user 12345", "chown")


def a_secret_that_is_none_is_refused(case):
    case.init()
    case.refused(1, "cannot read the secret file", "No such file",
                 **{"secret-file": case.path + "/none"})
    case.refused(1, "is no file", **{"secret-file": case.path})
    fifo = case.path + "/fifo"
    os.mkfifo(fifo, 0o600)
    case.refused(1, "is no file", **{"secret-file": fifo})
    for text, word in (("", "less"), (SECRET[:31] + "  \n\n", "less"), (SECRET * 17, "more")):
        path = case.write("other", text, 0o600)
        case.refused(1, "has " + word + " than", "openssl rand", **{"secret-file": path})


def a_member_makes_no_directory_by_itself(case):
    case.refused(1, "there is no data directory " + case.data, "weir init --data")
    assert not os.path.exists(case.data)
    os.mkdir(case.data)
    case.refused(1, "there is no data directory " + case.data, "weir init --data")
    assert os.listdir(case.data) == [], "something was made all the same"


def a_directory_of_others_is_refused(case):
    case.init()
    alone = weir("serve", "--data", case.data, "--listen", "127.0.0.1:0")
    assert alone.returncode == 1 and "of a cluster of 3 members" in alone.stderr, alone.stderr
    assert "--peers" in alone.stderr
    case.refused(1, "belongs to node 1", "not to node 2", id="2")
    config = case.write("weir.conf", "cluster-name another\n", 0o600)
    case.refused(1, 'cluster "test", not to "another"', config=config)
    shutil.rmtree(case.data)
    case.init("1=127.0.0.1:1")
    case.refused(1, "belongs to a node alone", "weir init")


def an_own_name_that_nobody_knows_is_refused(case):
    """Of others it is waited for (names.py); where to listen has to be known."""
    case.init()
    case.refused(1, "'nobody.invalid:1' is not an address of this host",
                 peers="1=nobody.invalid:1,2=127.0.0.1:2,3=127.0.0.1:3")


def init_refuses_what_makes_no_cluster(case):
    out = case.path + "/out"

    def refused(status, word, *arguments):
        run = weir("init", *arguments)
        assert run.returncode == status and word in run.stderr, (arguments, run)
        assert run.stderr.startswith("weir init: "), run.stderr
        assert not os.path.exists(out) or status == 1

    members = ("--members", "1=127.0.0.1:1,2=127.0.0.1:2/127.0.0.1:3")
    refused(2, "two or more", "--cluster", "c", "--out", out, "--members", "1=127.0.0.1:1")
    refused(2, "same one", "--cluster", "c", "--out", out, "--members",
            "1=127.0.0.1:1,2=127.0.0.1:2")
    refused(2, "same one", "--cluster", "c", "--out", out, "--members",
            "1=127.0.0.1:1,2=127.0.0.1:2/127.0.0.1:1")
    refused(2, "--cluster", "--out", out, *members)
    refused(2, "--out", "--cluster", "c", "--out", out, "--data", "d", *members)
    refused(2, "--out", "--cluster", "c", "--data", "d", "--id", "1", "--etc", "e", *members)
    refused(2, "--config", "--config", "f", "--id", "1")
    refused(2, "cannot read", "--config", case.path + "/none")
    refused(2, "names no peers", "--config", case.write("lone.conf", "id 1\n", 0o600))
    made = weir("init", "--cluster", "c", "--out", out, *members)
    assert made.returncode == 0, made.stderr
    refused(1, "secret", "--cluster", "c", "--out", out, *members)


def what_init_writes_is_for_the_owner_alone(case):
    out = case.path + "/out"
    made = weir("init", "--cluster", "c", "--out", out, "--members", "1=10.1.1.1:1,2=10.1.1.2:2")
    assert made.returncode == 0, made.stderr
    names = {"secret", "weir-1.conf", "weir-2.conf", "weir-1.service", "weir-2.service"}
    assert set(os.listdir(out)) == names
    texts = {}
    for name in names:
        assert os.stat(f"{out}/{name}").st_mode & 0o777 == 0o600
        with open(f"{out}/{name}", encoding="ascii") as file:
            texts[name] = file.read()
    assert len(texts["secret"].strip()) == 64
    for name in names - {"secret"}:
        assert texts["secret"].strip() not in texts[name]
    assert "install" in made.stdout
    assert texts["secret"].strip() not in made.stdout
    # Clients that come over a network need a password, the same everywhere.
    lines = [[line for line in texts[f"weir-{i}.conf"].splitlines() if "requirepass" in line]
             for i in (1, 2)]
    assert lines[0] == lines[1] and len(lines[0]) == 1 and len(lines[0][0].split()[1]) == 48
    assert "listen 10.1.1.2:7379\n" in texts["weir-2.conf"]
    for i in (1, 2):
        if shutil.which("systemd-analyze"):
            run = subprocess.run(["systemd-analyze", "verify", f"{out}/weir-{i}.service"],
                                 capture_output=True, text=True, check=False)
            assert f"weir-{i}.service:" not in run.stderr, run.stderr


TESTS = [peers_that_are_none, a_member_does_not_keep_its_log_in_memory,
         a_secret_has_to_be_named_or_done_without,
         a_secret_that_others_can_read_is_refused, a_secret_that_is_none_is_refused,
         a_member_makes_no_directory_by_itself, a_directory_of_others_is_refused,
         an_own_name_that_nobody_knows_is_refused, init_refuses_what_makes_no_cluster,
         what_init_writes_is_for_the_owner_alone]


def main():
    with Scratch() as scratch:
        for test in TESTS:
            test(Case(scratch))
            print(f"ok {test.__name__}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
