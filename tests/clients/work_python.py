#!/usr/bin/env python3
"""What clients.py does with python3-redis: work_python.py PORT."""

import sys

import redis

client = redis.Redis(port=int(sys.argv[1]), client_name="work", decode_responses=True)


def raises(text, *words):
    try:
        client.execute_command(*words)
    except redis.ResponseError as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"{words} passed")


assert client.ping()
assert client.set("key", "value") is True
assert client.get("key") == "value"
assert client.set("key", "other", nx=True) is None
assert client.set("key", "next", get=True) == "value"
assert client.append("key", "!") == 5 and client.strlen("key") == 5
assert client.incr("counter", 5) == 5 and client.execute_command("DECR", "counter") == 4
assert client.mset({"a": "1", "b": "2"}) and client.mget("a", "none", "b") == ["1", None, "2"]
assert client.set("brief", "x", px=100000) and 0 < client.pttl("brief") <= 100000
assert client.expire("brief", 50) and 0 < client.ttl("brief") <= 50
assert client.persist("brief") and client.ttl("brief") == -1 and client.ttl("none") == -2
assert client.set("gone", "x", px=1)
while client.exists("gone"):
    pass
assert client.type("key") == "string"
assert sorted(client.keys("*")) == ["a", "b", "brief", "counter", "key"]
assert sorted(client.scan_iter(match="?", count=2)) == ["a", "b"]
assert client.delete("a", "b", "none") == 2 and client.dbsize() == 3

pipeline = client.pipeline(transaction=False)
for number in range(1000):
    pipeline.set(f"pipeline:{number}", number)
    pipeline.get(f"pipeline:{number}")
assert pipeline.execute() == [item for number in range(1000) for item in (True, str(number))]

pipeline = client.pipeline()  # MULTI and EXEC around it
assert pipeline.set("t", "1").incr("t").get("t").execute() == [True, 2, "2"]
try:
    client.pipeline().set("t", "x").incr("t").execute()
except redis.ResponseError as error:
    assert "not an integer" in str(error), error
else:
    raise AssertionError("INCR of a text passed")
with client.pipeline() as pipeline:
    pipeline.watch("t", "u")
    assert pipeline.get("t") == "x"
    client.set("t", "y")
    pipeline.multi()
    try:
        pipeline.set("t", "z").execute()
    except redis.WatchError:
        pass
    else:
        raise AssertionError("a key that changed was not noticed")
assert client.transaction(lambda pipe: pipe.multi() or pipe.append("t", "!"), "t") == [2]
assert client.get("t") == "y!" and client.delete("t") == 1

binary = redis.Redis(port=int(sys.argv[1]))
everything = bytes(range(256)) * 300
assert binary.set(everything[:256], everything) and binary.get(everything[:256]) == everything

assert client.client_getname() == "work"
assert client.client_id() > 0
assert any(row["name"] == "work" for row in client.client_list())
assert "redis_version" in client.info() and client.info("server")["process_id"] > 0
assert client.config_get("save") == {"save": ""}
assert client.echo("hello") == "hello" and len(client.time()) == 2
assert client.command_count() > 20
raises("unknown command", "NONSENSE", "x")
raises("wrong number of arguments", "GET")
raises("not an integer", "INCR", "key")
raises("syntax error", "SET", "key", "value", "XX", "NX")
assert client.flushall() and client.dbsize() == 0
print("done")
