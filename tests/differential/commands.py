"""Every command of weir, with its grammar. A command that has no row here fails the test.

How a row is written stands in grammar.py, the kinds of arguments in kinds.py, how replies are
compared that are not equal byte for byte in comparisons.py.
"""

from commands_hash import HASHES
from commands_list import LISTS
from commands_set import SETS
from commands_zset import SORTED_SETS
from grammar import Row

TIMES = "EX seconds|PX milliseconds|EXAT unix-seconds|PXAT unix-milliseconds"
SET_OPTIONS = f"{{NX|XX|GET|KEEPTTL|{TIMES}}}"
EXPIRE_OPTIONS = "{NX|XX|GT|LT}"
SORTED = "{ASC|DESC|LIMIT position position|STORE list-key}"

STRINGS = (
    Row("get", "key", 8),
    Row("set", f"key value {SET_OPTIONS}", 30),
    Row("incr", "key"),
    Row("decr", "key"),
    Row("incrby", "key integer"),
    Row("append", "key value", 6),
    Row("strlen", "key"),
    Row("mget", "key+"),
    Row("mset", "(key value)+", 6),
    Row("getset", "key value"),
    Row("getdel", "key"),
    Row("getex", f"key {{PERSIST|{TIMES}}}", 8),
    Row("setnx", "key value"),
    Row("setex", "key seconds value"),
    Row("psetex", "key milliseconds value"),
    Row("msetnx", "(key value)+"),
    Row("getrange", "key position position", 6),
    Row("substr", "key position position"),
    Row("setrange", "key offset value", 6),
    Row("incrbyfloat", "key float", 8),
    Row("decrby", "key integer"),
    Row("lcs", "key key {LEN|IDX|MINMATCHLEN position|WITHMATCHLEN}"),
    # Redis has none, so here it must change nothing: the key is never there.
    Row("cas", f"absent-key value value {{DELETE|KEEPTTL|{TIMES}}}", whole=False),
)

BITS = (
    Row("setbit", "key bit-offset bit", 8),
    Row("getbit", "key bit-offset"),
    Row("bitcount", "key [position position [<BYTE|BIT>]]", 6),
    Row("bitpos", "key bit [position [position [<BYTE|BIT>]]]", 6),
    Row("bitop", "<AND|OR|XOR|NOT> key key+", 6),
)

GENERIC = (
    Row("del", "key+"),
    Row("exists", "key+"),
    Row("ttl", "key", reply="seconds to live"),
    Row("pttl", "key", reply="milliseconds to live"),
    Row("expire", f"key expire-seconds {EXPIRE_OPTIONS}", 12),
    Row("pexpire", f"key expire-milliseconds {EXPIRE_OPTIONS}", 8),
    Row("persist", "key"),
    Row("type", "key"),
    Row("dbsize"),
    Row("flushall", "[<ASYNC|SYNC>]", 1),
    Row("flushdb", "[<ASYNC|SYNC>]", 1),
    Row("keys", "pattern", 3, reply="any order"),
    Row("scan", "cursor {MATCH pattern|COUNT count|TYPE type}", 8, reply="scan"),
    Row("unlink", "key+"),
    Row("touch", "key+"),
    Row("rename", "key key"),
    Row("renamenx", "key key"),
    Row("copy", "key key {DB database|REPLACE}", 6),
    Row("randomkey", reply="some key"),
    Row("expireat", f"key unix-seconds {EXPIRE_OPTIONS}", 6),
    Row("pexpireat", f"key unix-milliseconds {EXPIRE_OPTIONS}", 6),
    Row("expiretime", "key", reply="seconds to live"),
    Row("pexpiretime", "key", reply="milliseconds to live"),
    Row("memory", "<USAGE key {SAMPLES samples}|HELP>", 10, reply="bytes"),
    Row("object", "<ENCODING key|HELP>", 12),
    # Numbers are sorted by hand: Redis refuses them if any command before left errno at ERANGE.
    Row("sort", f"<list-key ALPHA {SORTED}|set-key ALPHA {SORTED}|zset-key ALPHA {SORTED}>", 8,
        whole=False),
    Row("sort_ro", "list-key ALPHA {ASC|DESC|LIMIT position position}", whole=False),
)

CONNECTION = (
    Row("auth", "[user] password", 2),
    Row("client|getname", "", 2),
    Row("client|getredir", "", 1),
    Row("client|help", "", 1),
    Row("client|id", "", 1),
    Row("client|info", "", 1),
    # Nobody has such an id: the connections of the test itself stay.
    Row("client|kill", "ID client-id {TYPE <MASTER|REPLICA|SLAVE|PUBSUB|user>|USER user|ADDR user|"
        "LADDR user|SKIPME <YES|NO|type>|type type}", 2),
    Row("client|list", "[TYPE <NORMAL|MASTER|REPLICA|SLAVE|PUBSUB>] [ID client-id+]", 3),
    Row("client|no-evict", "<ON|OFF|type>", 1),
    Row("client|no-touch", "<ON|OFF|type>", 1),
    Row("client|pause", "timeout [<WRITE|ALL|type>]", 0.3),  # Redis wakes up late from it
    Row("client|reads", "<QUORUM|LEASE|STALE>", 1),
    # Only what is answered; tests of their own take replies away.
    Row("client|reply", "<ON|type>", 1, whole=False),
    Row("client|setinfo", "<LIB-NAME|LIB-VER> message", 1),
    Row("client|setname", "connection-name", 3),
    Row("client|unpause", "", 1),
    Row("echo", "message", 2),
    Row("hello", "[protocol {AUTH user password|SETNAME connection-name}]", 4),
    Row("ping", "[message]", 2),
    Row("quit", "", 1, ends=True),
    Row("reset", "", 1),
    Row("select", "database", 2),
)

SERVER = (
    Row("command", "", 1),
    Row("command|count", "", 1),
    Row("command|docs", "command-name+", 1),
    Row("command|getkeys", "<GET key|SET key value {NX|GET}|MSET (key value)+|DEL key+|"
        "BITOP AND key key+|LCS key key|ECHO message|CLIENT ID|"
        "ZUNION 2 key key|ZUNION 3 key key|LMPOP 1 key LEFT|SINTERCARD 2 key key|WATCH key+|"
        "ZUNIONSTORE key 2 key key|SORT key STORE key|command-name key+|EXPIRE key>", 3),
    Row("command|help", "", 1),
    Row("command|info", "command-name+", 2),
    Row("command|list", "[FILTERBY <MODULE user|PATTERN pattern>]", 1),
    Row("config|get", "parameter+", 2, reply="any order"),
    Row("config|help", "", 1),
    Row("config|resetstat", "", 1),
    Row("config|set", "{LOGLEVEL <NOTICE|WARNING>|MAXMEMORY <0|0B|0GB|user>|"
        "DATABASES user|type user}", 2),
    Row("info", "[section]", 1),
    # Only what does not stop it; a test of its own stops both.
    Row("shutdown", "<ABORT|NOSAVE ABORT|SAVE NOSAVE|NOW ABORT|FORCE type|type>", 1, whole=False),
    Row("slowlog|get", "[slow-count]", 1),
    Row("slowlog|help", "", 1),
    Row("slowlog|len", "", 1),
    Row("slowlog|reset", "", 1),
    Row("time", "", 2, reply="time"),
    Row("wait", "replicas timeout", 1),
    Row("once", "session integer <GET|SET> key value", 1),
    Row("once.open", "[PX milliseconds]", 1),
)

# Almost never among others, whose replies would become one of EXEC's: transactions.py mixes them.
SELDOM = 1e-9
TRANSACTIONS = (
    Row("multi", "", SELDOM),
    Row("exec", "", SELDOM),
    Row("discard", "", SELDOM),
    Row("watch", "key+", SELDOM),
    Row("unwatch", "", SELDOM),
)

CLUSTER = tuple(Row(name, text, 2, servers="cluster") for name, text in (
    ("cluster|help", ""),
    ("cluster|info", ""),
    ("cluster|keyslot", "key"),
    ("cluster|myid", ""),
    ("cluster|nodes", ""),
    ("cluster|shards", ""),
    ("cluster|slots", ""),
    ("readonly", ""),
    ("readwrite", ""),
))

ROWS = (STRINGS + BITS + GENERIC + HASHES + LISTS + SETS + SORTED_SETS + CONNECTION + SERVER +
        TRANSACTIONS + CLUSTER)
