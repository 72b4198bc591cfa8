"""The grammar of the commands about lists, for commands.py."""

from grammar import Row

ENDS = "<LEFT|RIGHT>"

LISTS = (
    Row("lpush", "list-key element+", 10),
    Row("rpush", "list-key element+", 10),
    Row("lpushx", "list-key element+"),
    Row("rpushx", "list-key element+"),
    Row("lpop", "list-key [pop-count]", 6),
    Row("rpop", "list-key [pop-count]", 6),
    Row("llen", "list-key"),
    Row("lrange", "list-key position position", 10),
    Row("lindex", "list-key position", 6),
    Row("lset", "list-key position element", 6),
    Row("linsert", "list-key <BEFORE|AFTER> element element", 6),
    Row("lrem", "list-key position element", 6),
    Row("ltrim", "list-key position position"),
    Row("lpos", "list-key element {RANK rank|COUNT pop-count|MAXLEN pop-count}", 10),
    Row("lmove", f"list-key list-key {ENDS} {ENDS}", 6),
    Row("rpoplpush", "list-key list-key"),
    Row("lmpop", f"<one-key list-key|2 list-key list-key|3 list-key list-key list-key> {ENDS} "
        "[COUNT positive-count]", 8),
)
