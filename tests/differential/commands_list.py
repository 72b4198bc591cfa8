"""The grammar of the commands about lists, for commands.py."""

LISTS = ()
