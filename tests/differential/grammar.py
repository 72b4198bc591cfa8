"""A command's grammar as a line of text, and what is made of it.

    set         key value {NX|XX|GET|EX seconds|KEEPTTL}
    client|list [TYPE <NORMAL|MASTER>] [ID client-id+]

    UPPER       the word itself, in any case
    lower-case  an argument of that kind: kinds.py
    kind+       one to four of them; (key value)+ one to four groups
    [ ... ]     or nothing
    < a | b >   one of them
    { a | b }   any number of them in any order, now and then one twice

What a command was made of is counted under labels: each option, each pair of options, each kind
of argument that was given something wrong, and what was done to the command as a whole. A row's
labels are known beforehand, so that the test can insist on each of them.
"""

import itertools
import re

from kinds import KINDS

TOKEN = re.compile(r"[\[\]{}<>()|+]|[^\s\[\]{}<>()|+]+")
CLOSING = {"[": "]", "{": "}", "<": ">", "(": ")"}
REPEATS_MAX = 4
WRONG_ONE_IN = 14
WHOLE_ONE_IN = 9  # commands to which something is done as a whole
TWICE_ONE_IN = 12  # options that are said twice
WHOLE = ("a word less", "a word more", "a word twice", "another word", "no word")


class Made:
    """The words of a command in the making, and its labels."""

    def __init__(self, draw, wrong_one_in):
        self.draw = draw
        self.wrong_one_in = wrong_one_in
        self.words = []
        self.labels = set()


class Literal:
    def __init__(self, text):
        self.text = text

    def make(self, made):
        made.words.append(made.draw.any_case(self.text))

    def __str__(self):
        return self.text


class Argument:
    def __init__(self, name):
        self.name = name
        self.kind = KINDS[name]

    def make(self, made):
        if self.kind.wrong and made.draw.one_in(made.wrong_one_in):
            made.labels.add(f"wrong {self.name}")
            made.words.append(made.draw.choice(self.kind.wrong))
            return
        word = self.kind.right(made.draw)
        made.words += word if isinstance(word, list) else [word]

    def __str__(self):
        return self.name


class Sequence:
    def __init__(self, items):
        self.items = items

    def make(self, made):
        for item in self.items:
            item.make(made)

    def __str__(self):
        return " ".join(str(item) for item in self.items)

    def name(self):
        """What an option is called: its first word."""
        return str(self.items[0])


class Repeat:
    def __init__(self, item):
        self.item = item

    def make(self, made):
        for _ in range(made.draw.between(1, REPEATS_MAX)):
            self.item.make(made)

    def __str__(self):
        return f"{self.item} ..."


class Maybe:
    def __init__(self, alternatives):
        self.item = alternatives[0]

    def make(self, made):
        if made.draw.one_in(2):
            made.labels |= self.labels()
            self.item.make(made)

    def labels(self):
        """Its name, if it is not one of several, which have their own."""
        return set() if isinstance(self.item.items[0], OneOf) else {self.item.name()}


class OneOf:
    def __init__(self, alternatives):
        self.alternatives = alternatives

    def make(self, made):
        item = made.draw.choice(self.alternatives)
        made.labels.add(item.name())
        item.make(made)

    def __str__(self):
        return "<" + "|".join(str(item) for item in self.alternatives) + ">"


class Options:
    def __init__(self, alternatives):
        self.alternatives = alternatives

    def make(self, made):
        count = made.draw.choice((0, 0, 1, 1, 1, 2, 2, 3))
        chosen = made.draw.sample(self.alternatives, min(count, len(self.alternatives)))
        if chosen and made.draw.one_in(TWICE_ONE_IN):
            chosen.append(made.draw.choice(chosen))
        for item in chosen:
            made.labels.add(item.name())
            item.make(made)
        names = sorted({item.name() for item in chosen})
        made.labels.update(" + ".join(pair) for pair in itertools.combinations(names, 2))


GROUPS = {"[": Maybe, "{": Options, "<": OneOf}


class Parser:
    def __init__(self, text):
        self.tokens = TOKEN.findall(text)
        self.at = 0

    def next(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def alternatives(self, end):
        """Sequences with | between them, up to `end`."""
        found, items = [], []
        while self.peek() != end:
            if self.peek() == "|":
                self.next()
                found.append(Sequence(items))
                items = []
            else:
                items.append(self.item())
        return [*found, Sequence(items)]

    def item(self):
        token = self.next()
        if token in CLOSING:
            alternatives = self.alternatives(CLOSING[token])
            self.next()
            item = GROUPS[token](alternatives) if token in GROUPS else alternatives[0]
        elif token == token.upper():
            item = Literal(token)
        else:
            item = Argument(token)
        if self.peek() == "+":
            self.next()
            item = Repeat(item)
        return item


def labels_of(item):
    """Every label that `item` can give."""
    if isinstance(item, Argument):
        return {f"wrong {item.name}"} if item.kind.wrong else set()
    if isinstance(item, Sequence):
        return set().union(*(labels_of(one) for one in item.items))
    if isinstance(item, Repeat):
        return labels_of(item.item)
    if isinstance(item, Maybe):
        return item.labels() | labels_of(item.item)
    if isinstance(item, (OneOf, Options)):
        found = {one.name() for one in item.alternatives}
        found.update(*(labels_of(one) for one in item.alternatives))
        if isinstance(item, Options):
            found.update(" + ".join(pair)
                         for pair in itertools.combinations(sorted({*map(Sequence.name,
                                                                         item.alternatives)}), 2))
        return found
    return set()


class Row:
    """A command: its name (container|subcommand), its grammar, and how it is used here.

    weight   how often it is drawn, against the others
    reply    how its reply is compared: "exact", or a name of comparisons.TOLERANCES
    ends     the server closes the connection when it is right: it is only drawn as the last one
    servers  "plain", or "cluster": then Redis runs as a cluster of one
    whole    False: nothing is done to it as a whole (it might come to stop the server)
    """

    def __init__(self, name, text="", weight=4, reply="exact", ends=False, servers="plain",
                 whole=True):
        self.name = name
        self.weight = weight
        self.reply = reply
        self.ends = ends
        self.servers = servers
        parser = Parser(text)
        self.grammar = parser.alternatives(None)[0]
        self.labels = labels_of(self.grammar) | {"inline", "resp 3"}
        self.whole = ()
        if whole:
            self.whole = WHOLE if self.grammar.items else ("a word more",)
        self.labels.update(self.whole)

    def make(self, draw):
        """A command: its words, and its labels."""
        made = Made(draw, WRONG_ONE_IN)
        head = [draw.any_case(part) for part in self.name.upper().split("|")]
        self.grammar.make(made)
        words = made.words
        if self.whole and draw.one_in(WHOLE_ONE_IN):
            whole = draw.choice(self.whole if words else ("a word more",))
            words = self.spoil(draw, whole, words)
            made.labels.add(whole)
        return head + words, made.labels

    def spoil(self, draw, whole, words):
        if whole == "no word":
            return []
        if whole == "a word more":
            return words + [draw.odd_word()]
        at = draw.between(0, len(words) - 1)
        if whole == "a word less":
            return words[:at] + words[at + 1:]
        if whole == "a word twice":
            return words[:at] + [words[at]] + words[at:]
        return words[:at] + [draw.odd_word()] + words[at + 1:]
