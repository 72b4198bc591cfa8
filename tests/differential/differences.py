"""What weir answers otherwise than Redis 7.0.15, each with the reason. It shall be short.

An entry explains an exchange only if its check holds for what both replied: what the two have in
common is compared all the same. An entry that explains nothing in a whole run is no longer true,
and fails the test.
"""

import re

from comparisons import is_error
from weir_test import decode

UNKNOWN = (b"ERR unknown command", b"ERR unknown subcommand")
OWN = "cas once once.open client|no-touch client|reads client|setinfo"
NAME_BYTES_MAX = 63
ARGUMENTS_MAX = 127
KEY_BYTES_MAX = 65536
REPEATS_MAX = b"1048576 "
# Parameters that say where a server runs, and how it stores.
OWN_VALUES = (b"port", b"dir", b"bind", b"appendfsync")
# What CLIENT INFO and CLIENT LIST say of a connection that is the same on both servers.
CLIENT_FIELDS = ("name", "flags", "db", "sub", "psub", "ssub", "multi", "cmd", "user", "redir",
                 "resp")


class Difference:
    """The commands it is about, the check, and the reason. "object|*" are all subcommands;
    no name is every command."""

    def __init__(self, commands, check, reason):
        self.commands = frozenset(commands.split())
        self.check = check
        self.reason = reason
        self.seen = 0

    def __str__(self):
        return f"{' '.join(sorted(self.commands)) or 'all'}: {self.reason}"


def values(exchange):
    return decode(exchange.redis)[0], decode(exchange.weir)[0]


def as_table(value):
    """A map, or the flat array that RESP 2 has for it."""
    if isinstance(value, list):
        return dict(zip(value[::2], value[1::2]))
    return value


def redis_lacks_it(exchange):
    """Redis knows no such command; weir does (ONCE may be of a command that neither knows)."""
    return is_error(exchange.redis, *UNKNOWN) and (
        not is_error(exchange.weir, *UNKNOWN) or
        exchange.name() == "once" and b"'once'" not in exchange.weir.lower())


def same_hello(exchange):
    redis, weir = map(as_table, values(exchange))
    if not isinstance(redis, dict) or not isinstance(weir, dict):
        return False
    for table in (redis, weir):
        if type(table.pop(b"id", None)) is not int:
            return False
    if redis[b"mode"] == b"cluster":
        weir[b"mode"] = b"cluster"
    return (redis.pop(b"server"), weir.pop(b"server")) == (b"redis", b"weir") and \
        redis.pop(b"version") != weir.pop(b"version") and redis == weir


def both_count(exchange):
    return all(type(value) is int and value > 0 for value in values(exchange))


def client_lines(text):
    """The fields of each line; NO-TOUCH, which Redis has not, is left out of the flags."""
    lines = [dict(field.split("=", 1) for field in line.split(" "))
             for line in text.decode().removeprefix("txt:").splitlines()]
    return [{**line, "flags": line["flags"].replace("T", "") or "N"} for line in lines]


def same_clients(exchange):
    redis, weir = values(exchange)
    if not isinstance(redis, bytes) or not isinstance(weir, bytes) or \
            exchange.redis[:1] != exchange.weir[:1]:
        return False
    one, other = client_lines(redis), client_lines(weir)
    # Libraries take fields by name, and do not ask whether they are there.
    return len(one) == len(other) and all(set(a) <= set(b) for a, b in zip(one, other)) and all(
        [a.get(field) for field in CLIENT_FIELDS] == [b.get(field) for field in CLIENT_FIELDS]
        for a, b in zip(one, other))


def same_sections(exchange):
    """INFO: the same protocol's text; it begins with the same section, if there is one."""
    redis, weir = values(exchange)
    return isinstance(redis, bytes) and isinstance(weir, bytes) and \
        exchange.redis[:1] == exchange.weir[:1] and redis[:4] == weir[:4] and \
        redis.split(b"\r\n")[0] == weir.split(b"\r\n")[0] and (not redis) == (not weir)


def destination_is_told(exchange):
    """The number of keys is none: Redis refuses, weir has the destination all the same."""
    return is_error(exchange.redis, b"ERR Invalid arguments specified") and \
        decode(exchange.weir)[0] == [exchange.command.words[3]]


def same_help(exchange):
    redis, weir = values(exchange)
    return isinstance(redis, list) and isinstance(weir, list) and redis[0] == weir[0] and \
        redis[-2:] == weir[-2:]


def in_table(rows):
    """Rows of COMMAND by name, subcommands too."""
    found = {}
    for row in rows:
        if row is not None:
            found[row[0]] = row
            found.update(in_table(row[9]))
    return found


def same_row(redis, weir):
    """Name, arity, keys; flags that Redis has, too; where keys are looked for."""
    def searches(row):
        return [{name: spec[name] for name in (b"begin_search", b"find_keys")}
                for spec in map(deep_table, row[8])]
    if redis[:2] != weir[:2]:
        return False
    if redis[9] and not weir[9]:  # OBJECT: a container in Redis
        return True
    if redis[0] == b"watch":  # its keys go to the machine by another way
        return True
    # Redis has a range for each role of keys, weir one for all: then first, last and step decide.
    # Keys whose number is an argument weir finds by COMMAND GETKEYS only.
    return redis[3:6] == weir[3:6] and set(weir[2]) <= set(redis[2]) and \
        (len(redis[8]) > len(weir[8]) or "movablekeys" in weir[2] or
         searches(redis) == searches(weir))


def deep_table(value):
    """A key specification as a map, whatever the protocol."""
    table = as_table(value)
    return {name: deep_table(item) if name in (b"begin_search", b"find_keys", b"spec") else item
            for name, item in table.items()}


def same_rows(exchange):
    """Of the commands that both have, what Redis says is right for weir; none is left out."""
    redis, weir = values(exchange)
    if not isinstance(redis, list) or not isinstance(weir, list):
        return False
    asked = len(exchange.command.words) > 2
    if asked and (len(redis) != len(weir) or
                  any(a is None and b is not None and b[0].decode() not in OWN.split()
                      for a, b in zip(redis, weir))):
        return False
    one, other = in_table(redis), in_table(weir)
    return all(same_row(one[name], row) for name, row in other.items() if name in one)


def same_documents(exchange):
    redis, weir = map(as_table, values(exchange))
    if not isinstance(redis, dict) or not isinstance(weir, dict):
        return False
    for name, document in weir.items():
        if name not in redis and name.decode() in OWN.split():
            continue
        one, other = as_table(redis.get(name)), as_table(document)
        if one is None or any(one[field] != other[field] for field in (b"since", b"group")):
            return False
    return True


def fewer_commands(exchange):
    redis, weir = values(exchange)
    return type(redis) is int and type(weir) is int and redis > weir


def fewer_names(exchange):
    redis, weir = values(exchange)
    return isinstance(redis, list) and isinstance(weir, list) and \
        {name for name in weir if name.decode() not in OWN.split()} <= set(redis)


def same_parameters(exchange):
    """CONFIG GET of all: what both have has the same value, but for its own."""
    redis, weir = map(as_table, values(exchange))
    if b"*" not in exchange.command.words[2:] or not isinstance(weir, dict):
        return False
    return all(redis[name] == value for name, value in weir.items()
               if name in redis and name not in OWN_VALUES)


def name_is_too_long(exchange):
    return exchange.redis[:1] in b"+*%" and \
        exchange.weir.startswith(b"-ERR Client names cannot be longer than 63 bytes") and \
        any(len(word) > NAME_BYTES_MAX for word in exchange.command.words)


def sorted_beyond_a_zero_byte(exchange):
    redis, weir = values(exchange)
    return isinstance(redis, list) and isinstance(weir, list) and \
        sorted(redis) == sorted(weir) and any(b"\0" in element for element in redis)


def sort_denies_patterns(exchange):
    return is_error(exchange.weir, b"ERR BY option of SORT denied in cluster mode",
                    b"ERR GET option of SORT denied in cluster mode")


def encoding_by_history(exchange):
    return values(exchange) in ((b"raw", b"embstr"), (b"raw", b"int"), (b"embstr", b"int"))


def is_not_let_in(exchange):
    return is_error(exchange.weir, b"NOAUTH ") and \
        is_error(exchange.redis, b"ERR unknown subcommand", b"ERR wrong number of arguments")


def due_keys_are_not_counted(exchange):
    redis, weir = values(exchange)
    return type(redis) is int and type(weir) is int and redis > weir


def as_anybody(data):
    """Text of CLUSTER without ids, ports and epochs."""
    data = re.sub(rb"\b[0-9a-f]{40}\b", b"ID", data)
    data = re.sub(rb"127\.0\.0\.1:\d+@\d+", b"ADDRESS", data)
    return re.sub(rb" - 0 0 \d+ ", b" - 0 0 N ", data)


def same_nodes(exchange):
    redis, weir = map(as_anybody, values(exchange))
    lines = weir.splitlines()
    return exchange.redis[:1] == exchange.weir[:1] and len(lines) == 2 and \
        b" master,noaddr " in lines[0] and lines[1] == redis.splitlines()[-1].removeprefix(b"txt:")


def same_cluster_figures(exchange):
    """Each line of weir's is one of Redis's; but for the epochs with the same figure."""
    redis, weir = ([line for line in value.removeprefix(b"txt:").split(b"\r\n")
                    if b"_epoch:" not in line] for value in values(exchange))
    return exchange.redis[:1] == exchange.weir[:1] and redis[:7] == weir[:7]


def without_identity(value):
    """A nest of lists and maps without ids, ports and what was replicated."""
    if isinstance(value, list):
        if len(value) % 2 == 0 and value[:1] == [b"id"]:
            value = dict(zip(value[::2], value[1::2]))
        else:
            return [without_identity(item) for item in value if not is_identity(item)]
    if isinstance(value, dict):
        return {key: without_identity(item) for key, item in value.items()
                if key not in (b"id", b"port", b"replication-offset")}
    return value


def is_identity(item):
    """An id, or a port: a number that is no slot."""
    return isinstance(item, bytes) and len(item) == 40 or \
        type(item) is int and item > 16383


def same_shape(exchange):
    redis, weir = values(exchange)
    return isinstance(redis, list) and without_identity(redis) == without_identity(weir)


def both_ids(exchange):
    return all(isinstance(value, bytes) and re.fullmatch(rb"[0-9a-f]{40}", value)
               for value in values(exchange))


def repeats_too_often(exchange):
    """Both name the least count that they take; weir's is nearer to 0."""
    start = b"-ERR value is out of range, value must between -"
    return exchange.redis.startswith(start) and exchange.weir.startswith(start + REPEATS_MAX)


def beyond_a_limit(exchange):
    words = exchange.command.words
    return (exchange.weir.startswith(b"-ERR key too long: the limit is 65536 bytes")
            and any(len(word) > KEY_BYTES_MAX for word in words)) or \
        (exchange.weir.startswith(b"-ERR too many arguments: ") and len(words) > ARGUMENTS_MAX + 1)


def amount_before_type(exchange):
    """Redis looks at the key's type before it looks at the amount."""
    return is_error(exchange.redis, b"WRONGTYPE ") and \
        is_error(exchange.weir, b"ERR value is not a valid float")


DIFFERENCES = [
    Difference(OWN, redis_lacks_it, "Redis 7.0.15 has no such command"),
    Difference("hello", same_hello, "the server says its own name and version; each counts its "
               "own connections; weir serves clients of a cluster and others alike"),
    Difference("client|id", both_count, "each counts its own connections"),
    Difference("client|info client|list", same_clients, "id, address and times are each "
               "server's own; weir has no memory of a connection's own, more fields"),
    Difference("config|get", same_parameters, "weir has parameters of its own, and fewer"),
    Difference("client|setname hello", name_is_too_long, "names of connections have a fixed room"),
    Difference("info", same_sections, "the figures are each server's own"),
    Difference("client|help cluster|help command|help config|help object|help", same_help,
               "each has its own subcommands"),
    Difference("command command|info", same_rows, "weir has fewer commands, no access lists and "
               "no tips, one range of keys, and no flag of what it has not: scripts, replicas; "
               "of a command that says how many keys it has, no word of how to find them"),
    Difference("command|docs", same_documents, "summaries and arguments say what weir does"),
    Difference("command|count", fewer_commands, "weir has fewer commands"),
    Difference("command|list", fewer_names, "weir has fewer commands"),
    Difference("command|getkeys", destination_is_told, "of a command whose number of keys is none "
               "weir tells the destination, which is where it was looked for"),
    Difference("dbsize", due_keys_are_not_counted, "Redis counts keys whose time has come until "
               "somebody looks at them, weir does not"),
    Difference("srandmember hrandfield zrandmember", repeats_too_often,
               "members are repeated at most 1048576 times"),
    Difference("object|encoding", encoding_by_history, "in weir what a value is decides, not "
               "what was done to it before"),
    Difference("object|* memory|*", is_not_let_in, "their subcommands are arguments here, so who "
               "has not said the password is told that before what is wrong with them"),
    Difference("cluster|myid", both_ids, "each has an id of its own"),
    Difference("cluster|slots cluster|shards", same_shape, "ids and ports are each server's own, "
               "and what was replicated is counted in entries"),
    Difference("cluster|info", same_cluster_figures, "weir counts terms, and no messages"),
    Difference("cluster|nodes", same_nodes, "weir has the leader once more, for redis-benchmark; "
               "ids and terms are its own"),
    Difference("incrbyfloat", amount_before_type, "what is no number does not reach the log, so it "
               "is refused whatever the key holds"),
    Difference("sort sort_ro", sorted_beyond_a_zero_byte, "ALPHA compares all bytes, as Redis does "
               "with STORE; without, Redis asks the locale, up to a zero byte"),
    Difference("sort sort_ro", sort_denies_patterns, "patterns over other keys are refused, as "
               "Redis refuses them in a cluster"),
    Difference("", beyond_a_limit, "keys of at most 64 KiB; 127 arguments of a command about "
               "connections, lest a poll be long"),
]


def difference_of(exchange):
    """The entry that explains the exchange, or None; a reply that did not come has none."""
    if not exchange.redis or not exchange.weir:
        return None
    names = {exchange.name(), exchange.name().split("|")[0] + "|*"}
    for entry in DIFFERENCES:
        if (not entry.commands or names & entry.commands) and entry.check(exchange):
            return entry
    return None
