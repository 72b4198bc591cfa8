#!/usr/bin/env python3
"""What clients.py does with the cluster class of python3-redis: work_cluster.py PORT."""

import sys

from redis.cluster import RedisCluster

port = int(sys.argv[1])
client = RedisCluster(host="127.0.0.1", port=port, decode_responses=True, read_from_replicas=True)
assert [node.port for node in client.get_primaries()] == [port] and not client.get_replicas()
for number in range(100):  # of all slots
    assert client.set(f"key:{number}", number) is True
    assert client.get(f"key:{number}") == str(number)
assert client.mset({"{tag}a": "1", "{tag}b": "2"}) and client.mget("{tag}b", "{tag}a") == ["2", "1"]
assert client.mset_nonatomic({"x": "1", "y": "2"})
assert client.mget_nonatomic("x", "none", "y") == ["1", None, "2"]
for key in ("foo", "{}a", "{a}{b}", "a{b}c", "123456789"):
    assert client.cluster_keyslot(key) == client.keyslot(key), key
assert client.cluster_info()["cluster_state"] == "ok"
nodes = client.cluster_nodes()
assert [node["flags"] for node in nodes.values()] == ["myself,master"], nodes
assert client.info("cluster")["cluster_enabled"] == 1
pipeline = client.pipeline()
for number in range(100):
    pipeline.get(f"key:{number}")
assert pipeline.execute() == [str(number) for number in range(100)]
assert client.flushall() and client.dbsize() == 0
print("done")
