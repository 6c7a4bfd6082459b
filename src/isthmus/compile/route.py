"""Routes: which requests, and what happens to them."""

from dataclasses import dataclass

from isthmus.compile.forward import compile_forward, nowhere
from isthmus.compile.match import compile_match
from isthmus.compile.memo import Memo
from isthmus.compile.rule import Action, DirectResponse, Forward, Match, Redirect, Rule
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
        return frozenset(share.cluster for share in action.shares) if isinstance(action, Forward) else frozenset()


def compile_route(memo: Memo, key: ObjectKey) -> CompiledRoute | None:
    """A route; None when it is unknown."""
    obj = find(memo, Route, key)
    if obj is None:
        return None
    found: list[Diagnostic] = []
    matches = tuple(compile_match(match) for match in obj.spec.match) or (Match(),)
    return CompiledRoute(Rule(key, matches, _action(memo, obj, found)), tuple(found))


def _action(memo: Memo, obj: Route, found: list[Diagnostic]) -> Action:
    spec = obj.spec
    if spec.redirect is not None:
        to = spec.redirect
        return Redirect(to.scheme, to.host, to.port, to.path, to.prefix, to.code)
    if spec.direct_response is not None:
        return DirectResponse(spec.direct_response.status, spec.direct_response.body)
    return compile_forward(memo, obj.key, spec.forward, found) if spec.forward else nowhere()
