"""Bodies in place of errors.

Envoy's own answers come from this site or, with a mark, from another; both are Envoy's to those who ask.
"""

from collections.abc import Iterable

from envoy.extensions.filters.http.custom_response.v3.custom_response_pb2 import CustomResponse
from envoy.extensions.http.custom_response.local_response_policy.v3.local_response_policy_pb2 import (
    LocalResponsePolicy,
)
from envoy.type.matcher.v3.http_inputs_pb2 import HttpResponseHeaderMatchInput
from envoy.type.matcher.v3.status_code_input_pb2 import (
    HttpResponseStatusCodeClassMatchInput,
    HttpResponseStatusCodeMatchInput,
)
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import Message
from xds.core.v3.extension_pb2 import TypedExtensionConfig
from xds.type.matcher.v3.matcher_pb2 import Matcher
from xds.type.matcher.v3.string_pb2 import StringMatcher

from isthmus.compile.option import ErrorPage
from isthmus.emit.envoy import name
from isthmus.emit.envoy.header import set_header
from isthmus.emit.envoy.wire import pack

_Predicate = Matcher.MatcherList.Predicate


def emit_error_pages(pages: Iterable[ErrorPage]) -> CustomResponse:
    """The first page that fits is sent."""
    matchers = [Matcher.MatcherList.FieldMatcher(predicate=_predicate(page), on_match=_answer(page)) for page in pages]
    return CustomResponse(custom_response_matcher=Matcher(matcher_list=Matcher.MatcherList(matchers=matchers)))


def _predicate(page: ErrorPage) -> Matcher.MatcherList.Predicate:
    status = _any(_single(_CLASS if each.endswith("xx") else _STATUS, each) for each in page.statuses)
    if page.applications:
        return status
    own = _any((_single(_LOCAL_REPLY, "true"), _single(_MARK, "1")))
    return _Predicate(and_matcher=_Predicate.PredicateList(predicate=[status, own]))


def _any(predicates: Iterable[Matcher.MatcherList.Predicate]) -> Matcher.MatcherList.Predicate:
    found = list(predicates)
    return found[0] if len(found) == 1 else _Predicate(or_matcher=_Predicate.PredicateList(predicate=found))


def _single(wanted: TypedExtensionConfig, value: str) -> Matcher.MatcherList.Predicate:
    return _Predicate(single_predicate=_Predicate.SinglePredicate(input=wanted, value_match=StringMatcher(exact=value)))


def _answer(page: ErrorPage) -> Matcher.OnMatch:
    policy = LocalResponsePolicy(
        body={"inline_string": page.body},
        status_code=None if page.status is None else {"value": page.status},
        response_headers_to_add=[set_header("content-type", page.content_type)],
    )
    return Matcher.OnMatch(action=TypedExtensionConfig(name="page", typed_config=pack(policy)))


def _local_reply_input() -> Message:
    """`envoy.type.matcher.v3.HttpResponseLocalReplyMatchInput`, which Envoy 1.40 knows and xds-protos does not yet."""
    pool, package, title = descriptor_pool.Default(), "envoy.type.matcher.v3", "HttpResponseLocalReplyMatchInput"
    try:
        found = pool.FindMessageTypeByName(f"{package}.{title}")
    except KeyError:
        file = FileDescriptorProto(name="isthmus/local_reply_input.proto", package=package, syntax="proto3")
        file.message_type.add(name=title)
        found = pool.AddSerializedFile(file.SerializeToString()).message_types_by_name[title]
    return message_factory.GetMessageClass(found)()


_STATUS = TypedExtensionConfig(name="status", typed_config=pack(HttpResponseStatusCodeMatchInput()))
_CLASS = TypedExtensionConfig(name="class", typed_config=pack(HttpResponseStatusCodeClassMatchInput()))
_LOCAL_REPLY = TypedExtensionConfig(name="local-reply", typed_config=pack(_local_reply_input()))
_MARK = TypedExtensionConfig(
    name="mark", typed_config=pack(HttpResponseHeaderMatchInput(header_name=name.LOCAL_REPLY_HEADER))
)
