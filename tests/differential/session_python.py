#!/usr/bin/env python3
"""A session of python3-redis to be recorded: session_python.py PORT. Nothing waits for time."""

import sys

import redis

client = redis.Redis(port=int(sys.argv[1]), client_name="work", decode_responses=True)
client.ping()
client.set("key", "value")
client.get("key")
client.set("key", "other", nx=True)
client.set("key", "next", xx=True, get=True)
client.append("key", "!")
client.strlen("key")
client.incr("counter", 5)
client.decr("counter", 2)
client.mset({"a": "1", "b": "2"})
client.mget("a", "none", "b")
client.set("brief", "x", px=100000000)
client.pttl("brief")
client.expire("brief", 5000)
client.ttl("brief")
client.persist("brief")
client.type("key")
client.exists("key", "none")
client.keys("*")
list(client.scan_iter(match="?", count=1000))
client.delete("a", "b", "none")
client.dbsize()
pipeline = client.pipeline(transaction=False)
for number in range(100):
    pipeline.set(f"pipeline:{number}", number)
    pipeline.get(f"pipeline:{number}")
pipeline.execute()
binary = redis.Redis(port=int(sys.argv[1]))
everything = bytes(range(256)) * 30
binary.set(everything[:256], everything)
binary.get(everything[:256])
for words in (("NONSENSE", "x"), ("GET",), ("INCR", "key"), ("SET", "key", "value", "XX", "NX")):
    try:
        client.execute_command(*words)
    except redis.ResponseError:
        pass
client.client_getname()
client.echo("hello")
client.flushall()
