"""Load on etcd by h2load, and proof that it did something.

h2load (Debian's nghttp2-client) sends the same body again and again: one gRPC message, that is a
byte 0 (not compressed), its length in four bytes, and a message of protocol buffers. So all Puts go
to one key; etcd keeps every revision of it.

h2load counts HTTP statuses, and gRPC puts its own into trailers, which h2load does not look at. So:

  check_put     sends one Put with nghttp and demands the trailer "grpc-status: 0"
  run_put       demands afterwards that the key's version rose by exactly the number of Puts that
                h2load counts as succeeded, and that the value is the one that was sent
  run_range     demands that the key is there; and that each answer was longer than the value
"""

import http.client
import json
import math
import os
import re
import subprocess
from base64 import b64decode, b64encode

from compare_programs import Failure, find_program

KEY = b"key:000000000001"  # as long as redis-benchmark's keys
VALUE_BYTES = 64
PUT, RANGE = "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range"
HEADERS = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
CONNECTIONS = 50
RUN_S = 300


def field(number, data):
    """A field of bytes, of protocol buffers; below 128 bytes its length is one byte."""
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


def framed(message):
    """A gRPC message, not compressed."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def put_body(key, value):
    """PutRequest: 1 key, 2 value."""
    return framed(field(1, key) + field(2, value))


def range_body(key):
    """RangeRequest: 1 key; linearizable unless it says serializable."""
    return framed(field(1, key))


def call(port, path, body):
    """One call of etcd's JSON gateway."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        link.request("POST", path, json.dumps(body))
        return json.loads(link.getresponse().read())
    finally:
        link.close()


def stored(port):
    """The key's value and how often it was put: (None, 0) if it is not there."""
    found = call(port, "/v3/kv/range", {"key": b64encode(KEY).decode()}).get("kvs")
    if not found:
        return None, 0
    return b64decode(found[0]["value"]), int(found[0]["version"])


def write_body(directory, name, body):
    path = os.path.join(directory, name)
    with open(path, "wb") as file:
        file.write(body)
    return path


def check_put(port, directory, options):
    """One Put by nghttp, whose trailers must say that it went well."""
    body = write_body(directory, "put", put_body(KEY, b"\1" * VALUE_BYTES))
    command = [find_program("nghttp", options), "-v", "-n", "-d", body, *HEADERS,
               f"http://127.0.0.1:{port}{PUT}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=60, check=False)
    if not re.search(r"grpc-status: 0\b", done.stdout):
        raise Failure(f"etcd does not take a Put ({' '.join(command)}): "
                      f"{(done.stderr + done.stdout)[-800:]}")
    if stored(port) != (b"\1" * VALUE_BYTES, 1):
        raise Failure("etcd said grpc-status 0, and the key is not there")


def quantile(ordered, share):
    """The value below which `share` of them are: of a sorted, non-empty list."""
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def read_log(path):
    """h2load's log: start in microseconds, status, duration in microseconds, for each request."""
    durations, wrong, first, last = [], 0, None, 0
    with open(path, encoding="ascii") as file:
        for line in file:
            start, status, duration = (int(part) for part in line.split("\t")[:3])
            wrong += status != 200
            durations.append(duration)
            first = start if first is None else min(first, start)
            last = max(last, start + duration)
    return sorted(durations), wrong, (last - (first or 0)) / 1e6


def run_h2load(port, path, body, streams, requests, directory, options, extra=()):
    """So many requests; returns throughput_per_s, p50_ms, p99_ms, max_ms and operations."""
    log = os.path.join(directory, "h2load.log")
    if os.path.exists(log):
        os.unlink(log)
    command = [find_program("h2load", options), "-n", str(requests), "-c", str(CONNECTIONS), "-m",
               str(streams), "-d", body, *HEADERS, f"--log-file={log}", *extra,
               f"http://127.0.0.1:{port}{path}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=RUN_S, check=False)
    counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", done.stdout)
    if done.returncode != 0 or not counts or not os.path.exists(log):
        raise Failure(f"h2load failed ({' '.join(command)}): {(done.stderr + done.stdout)[-500:]}")
    durations, wrong, elapsed_s = read_log(log)
    os.unlink(log)
    if wrong or int(counts[2]) or int(counts[3]) or len(durations) != requests:
        raise Failure(f"h2load: {counts[1]} of {requests} requests succeeded, {wrong} had another "
                      f"status than 200: {done.stdout[-500:]}")
    traffic = re.search(r"\(([\d,]+)\) data", done.stdout)
    return {"operations": requests, "elapsed_s": elapsed_s,
            "throughput_per_s": requests / elapsed_s,
            "p50_ms": quantile(durations, 0.5) / 1e3, "p99_ms": quantile(durations, 0.99) / 1e3,
            "max_ms": durations[-1] / 1e3,
            "answer_bytes": int(traffic[1]) / requests if traffic else 0}


def run_put(port, streams, requests, directory, options, extra=()):
    """So many Puts, all of which must be in the key's version afterwards."""
    value = os.urandom(VALUE_BYTES)
    body = write_body(directory, "put", put_body(KEY, value))
    _, before = stored(port)
    result = run_h2load(port, PUT, body, streams, requests, directory, options, extra)
    kept, after = stored(port)
    if after - before != requests or kept != value:
        raise Failure(f"h2load counts {requests} Puts as succeeded, and etcd's key rose from "
                      f"version {before} to {after}: they did not all take place")
    return result


def run_range(port, streams, requests, directory, options, extra=()):
    """So many linearizable reads of the key, which must be there."""
    if stored(port)[0] is None:
        raise Failure("etcd: there is no key to read")
    body = write_body(directory, "range", range_body(KEY))
    result = run_h2load(port, RANGE, body, streams, requests, directory, options, extra)
    if result["answer_bytes"] < VALUE_BYTES:
        raise Failure(f"etcd's answers have {result['answer_bytes']:.0f} bytes: no value is in "
                      "them")
    return result
