"""Routes: which requests, and what happens to them."""

from dataclasses import dataclass

from isthmus.compile.condition import Match
from isthmus.compile.forward import compile_forward, compile_rewrite, nowhere
from isthmus.compile.http_option import compile_options
from isthmus.compile.match import compile_match
from isthmus.compile.memo import Memo
from isthmus.compile.rule import Action, DirectResponse, Forward, Redirect, Rule
from isthmus.compile.source import find
from isthmus.model import Diagnostic, ObjectKey, Route


@dataclass(frozen=True, slots=True)
class CompiledRoute:
    """A rule, and what is wrong with its route here."""

    rule: Rule
    diagnostics: tuple[Diagnostic, ...]

    def clusters(self) -> frozenset[ObjectKey]:
        """The clusters that the rule names."""
        action = self.rule.action
        if not isinstance(action, Forward):
            return frozenset()
        return frozenset((*(share.cluster for share in action.shares), *(each.cluster for each in action.mirrors)))


def compile_route(memo: Memo, key: ObjectKey) -> CompiledRoute | None:
    """A route; None when it is unknown."""
    obj = find(memo, Route, key)
    if obj is None:
        return None
    found: list[Diagnostic] = []
    matches = tuple(compile_match(match) for match in obj.spec.match) or (Match(),)
    return CompiledRoute(Rule(key, matches, _action(memo, obj, found), compile_options(obj.spec)), tuple(found))


def _action(memo: Memo, obj: Route, found: list[Diagnostic]) -> Action:
    spec = obj.spec
    if spec.redirect is not None:
        to = spec.redirect
        regex = compile_rewrite(to.regex)
        return Redirect(to.scheme, to.host, to.port, to.path, to.prefix, to.code, regex, to.strip_query)
    if spec.direct_response is not None:
        answer = spec.direct_response
        return DirectResponse(answer.status, answer.body, answer.content_type)
    return compile_forward(memo, obj.key, spec.forward, found) if spec.forward else nowhere()
