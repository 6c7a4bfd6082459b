"""Virtual hosts that are not looked into: each of their connections goes where their one route says."""

from isthmus.compile.intent import Stream
from isthmus.compile.memo import Memo
from isthmus.compile.rule import Forward, Match
from isthmus.compile.virtual_host import compile_rules
from isthmus.model import ObjectKey


def compile_stream(memo: Memo, key: ObjectKey) -> Stream:
    """Where a virtual host's connections go. They are refused if its routes are not one that forwards everything."""
    rules = memo.ask(compile_rules, key).rules
    rule = rules[0] if len(rules) == 1 and rules[0].matches == (Match(),) else None
    shares = rule.action.shares if rule is not None and isinstance(rule.action, Forward) else ()
    return Stream(key, rule.route if rule else None, shares, 0)
