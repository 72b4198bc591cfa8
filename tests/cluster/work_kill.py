#!/usr/bin/env python3
"""The cluster class of python3-redis, unchanged, over a change of leader: work_kill.py PORT...

Debian's interpreter runs it. Counts a key up and reads it, and says "acked N" for each, until its
input ends; then "done N": what the key is at the end. Whoever is not served tries again, as any
user of a cluster has to, and so does the class itself: an INCR may be counted more than once.

RedisClusterException ("cannot pickle") is a defect of 4.3.4 (Debian 12): once a node was gone it
can never look for the others again, of whatever cluster. Then a new object is made.
"""

import sys
import threading
import time

from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisError, RedisClusterException

LIMIT_S = 30



def connect():
    nodes = [ClusterNode("127.0.0.1", int(port)) for port in sys.argv[1:]]
    return RedisCluster(startup_nodes=nodes, decode_responses=True, socket_timeout=5)


client = connect()
ends = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ends.set()), daemon=True).start()
acked, silent_since = 0, time.monotonic()
while True:
    try:
        client = client or connect()
        if ends.is_set():
            last = int(client.get("counter"))
            break
        counted = client.incr("counter")
        assert acked < counted, (acked, counted)
        acked = counted
        read = int(client.get("counter"))
        assert read == acked, (read, acked)
        print(f"acked {acked}", flush=True)
        silent_since = time.monotonic()
    except (RedisError, RedisClusterException) as error:
        print(f"again after {type(error).__name__}", flush=True)
        client = None if isinstance(error, RedisClusterException) else client
        assert time.monotonic() - silent_since < LIMIT_S, error
        ends.wait(0.01)
assert acked <= last, (acked, last)
print(f"done {last}", flush=True)
