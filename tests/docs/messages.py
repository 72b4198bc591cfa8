#!/usr/bin/env python3
"""Every sentence that an operator can be told stands in docs/errors.md, and no other does.

    messages.py TREE [--list]

A sentence is the format of an error in the source of what runs a node: serve, init, status, and
what they call; an event is a line of the log at the level warn or error. In the document each is
the first cell of a table's row, in backquotes, with … for whatever the format fills in, and for
words that several sentences have in common: `no memory …`. --list prints what the source has.
"""

import glob
import os
import re
import sys

SENTENCES = ("error_text_set", "node_fail", "replicate_fail")
EVENTS = re.compile(r'\blog_(?:warn|error)(?:_limited)?\(\s*"([a-z_]+)"|'
                    r'\blog_line_limited\([^"]*LOG_(?:WARN|ERROR),\s*"([a-z_]+)"')
SOURCES = ("io/*.c", "stages/*.c", "storage/*.c", "tools/config*.c", "tools/init*.c",
           "tools/secret_file.c", "tools/serve*.c", "tools/status*.c")
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"|\bPRI[a-zA-Z0-9]+\b|\s+')
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
CONVERSION = re.compile(r"%[-.*0-9]*(?:ll|l|z)?[a-zA-Z]?")


def calls(text, name):
    """The arguments of each call of a function, as text."""
    for match in re.finditer(rf"\b{name}\(", text):
        at, depth = match.end(), 1
        while depth > 0:
            literal = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)+\'').match(text, at)
            if literal:
                at = literal.end()
                continue
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        yield text[match.end():at - 1]


def first_literal(arguments):
    """The first string of the arguments, with those that follow it; None if there is none."""
    at = arguments.find('"')
    if at < 0:
        return None
    parts = []
    while True:
        match = LITERAL.match(arguments, at)
        if not match:
            return "".join(parts)
        parts.append(match.group(1) or "")
        at = match.end()


def plain(text):
    text = text.replace('\\"', '"').replace("\\\\", "\\").replace("%%", "\0")
    return re.sub("(?:… ?)+…", "…", CONVERSION.sub("…", text)).replace("\0", "%").replace("`", "'")


def of_source(tree):
    """The sentences and the events, each with a file that has it."""
    sentences, events = {}, {}
    for pattern in SOURCES:
        for path in sorted(glob.glob(os.path.join(tree, pattern))):
            with open(path, encoding="utf-8") as file:
                text = COMMENT.sub(" ", file.read())
            where = os.path.relpath(path, tree)
            for name in SENTENCES:
                for arguments in calls(text, name):
                    literal = first_literal(arguments)
                    if literal and len(re.sub(r"[^a-z]", "", plain(literal))) > 3:
                        sentences[plain(literal)] = where
            for match in EVENTS.finditer(text):
                events[match.group(1) or match.group(2)] = where
    return sentences, events


def of_document(tree):
    """The first cells of the rows: with a space in them sentences, otherwise events."""
    with open(os.path.join(tree, "docs", "errors.md"), encoding="utf-8") as file:
        cells = re.findall(r"^\| `([^`]*)`", file.read(), re.MULTILINE)
    return [cell for cell in cells if " " in cell], [cell for cell in cells if " " not in cell]


def matches(row, sentence):
    """A row that begins with … and has few words of its own stands for nobody else."""
    if row.startswith("…") and len(re.findall("[a-z]", row)) < 8:
        return row == sentence
    return re.fullmatch(".*".join(re.escape(part) for part in row.split("…")), sentence)


def main():
    tree = sys.argv[1]
    sentences, events = of_source(tree)
    if "--list" in sys.argv:
        print("\n".join(f"{where}: {text}" for text, where in
                        sorted((*sentences.items(), *events.items()), key=lambda item: item[1])))
        return 0
    assert len(sentences) > 80 and len(events) > 30, "the source is not understood"
    rows, rows_of_events = of_document(tree)
    wrong = [f"docs/errors.md lacks, from {where}: {text}" for text, where in sentences.items()
             if not any(matches(row, text) for row in rows)]
    wrong += [f"no source has what docs/errors.md says: {row}" for row in rows
              if not any(matches(row, text) for text in sentences)]
    wrong += [f"docs/errors.md lacks the event {name}, from {where}"
              for name, where in events.items() if name not in rows_of_events]
    wrong += [f"no source has the event {name} of docs/errors.md" for name in rows_of_events
              if name not in events]
    wrong += [f"docs/errors.md has twice: {row}" for row in {*rows, *rows_of_events}
              if (rows + rows_of_events).count(row) > 1]
    print("\n".join(wrong) or f"{len(sentences)} sentences, {len(events)} events")
    return len(wrong) > 0


if __name__ == "__main__":
    sys.exit(main())
