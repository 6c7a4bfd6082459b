from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Entry(_message.Message):
    __slots__ = ("key", "hash")
    KEY_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    key: str
    hash: bytes
    def __init__(self, key: _Optional[str] = ..., hash: _Optional[bytes] = ...) -> None: ...

class Manifest(_message.Message):
    __slots__ = ("subject", "epoch", "revision", "base_revision", "entries", "removed", "site_number", "import_clusters", "regions")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    BASE_REVISION_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    SITE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    IMPORT_CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    subject: str
    epoch: int
    revision: int
    base_revision: int
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    removed: _containers.RepeatedScalarFieldContainer[str]
    site_number: int
    import_clusters: _containers.RepeatedScalarFieldContainer[int]
    regions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, subject: _Optional[str] = ..., epoch: _Optional[int] = ..., revision: _Optional[int] = ..., base_revision: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., removed: _Optional[_Iterable[str]] = ..., site_number: _Optional[int] = ..., import_clusters: _Optional[_Iterable[int]] = ..., regions: _Optional[_Iterable[str]] = ...) -> None: ...

class SignedManifest(_message.Message):
    __slots__ = ("manifest", "signature", "key_id")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    manifest: bytes
    signature: bytes
    key_id: str
    def __init__(self, manifest: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., key_id: _Optional[str] = ...) -> None: ...

class Trust(_message.Message):
    __slots__ = ("version", "bundle_pem", "signing_keys")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_PEM_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEYS_FIELD_NUMBER: _ClassVar[int]
    version: int
    bundle_pem: bytes
    signing_keys: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, version: _Optional[int] = ..., bundle_pem: _Optional[bytes] = ..., signing_keys: _Optional[_Iterable[bytes]] = ...) -> None: ...

class SignedTrust(_message.Message):
    __slots__ = ("trust", "signature", "key_id")
    TRUST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    trust: bytes
    signature: bytes
    key_id: str
    def __init__(self, trust: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., key_id: _Optional[str] = ...) -> None: ...

class Up(_message.Message):
    __slots__ = ("hello", "wants", "applied", "statuses", "presence", "answers", "renewals")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    WANTS_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    RENEWALS_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    wants: _containers.RepeatedCompositeFieldContainer[Want]
    applied: _containers.RepeatedCompositeFieldContainer[Applied]
    statuses: _containers.RepeatedCompositeFieldContainer[Status]
    presence: _containers.RepeatedCompositeFieldContainer[Presence]
    answers: _containers.RepeatedCompositeFieldContainer[Answer]
    renewals: _containers.RepeatedCompositeFieldContainer[Renew]
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., wants: _Optional[_Iterable[_Union[Want, _Mapping]]] = ..., applied: _Optional[_Iterable[_Union[Applied, _Mapping]]] = ..., statuses: _Optional[_Iterable[_Union[Status, _Mapping]]] = ..., presence: _Optional[_Iterable[_Union[Presence, _Mapping]]] = ..., answers: _Optional[_Iterable[_Union[Answer, _Mapping]]] = ..., renewals: _Optional[_Iterable[_Union[Renew, _Mapping]]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("version_min", "version_max", "release", "subject", "held")
    VERSION_MIN_FIELD_NUMBER: _ClassVar[int]
    VERSION_MAX_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    version_min: int
    version_max: int
    release: str
    subject: str
    held: _containers.RepeatedCompositeFieldContainer[Held]
    def __init__(self, version_min: _Optional[int] = ..., version_max: _Optional[int] = ..., release: _Optional[str] = ..., subject: _Optional[str] = ..., held: _Optional[_Iterable[_Union[Held, _Mapping]]] = ...) -> None: ...

class Held(_message.Message):
    __slots__ = ("subject", "epoch", "revision")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    subject: str
    epoch: int
    revision: int
    def __init__(self, subject: _Optional[str] = ..., epoch: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class Want(_message.Message):
    __slots__ = ("subject", "hashes", "manifest")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    HASHES_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    subject: str
    hashes: _containers.RepeatedScalarFieldContainer[bytes]
    manifest: bool
    def __init__(self, subject: _Optional[str] = ..., hashes: _Optional[_Iterable[bytes]] = ..., manifest: _Optional[bool] = ...) -> None: ...

class Applied(_message.Message):
    __slots__ = ("subject", "epoch", "revision", "rejections")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    subject: str
    epoch: int
    revision: int
    rejections: _containers.RepeatedCompositeFieldContainer[Rejection]
    def __init__(self, subject: _Optional[str] = ..., epoch: _Optional[int] = ..., revision: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[Rejection, _Mapping]]] = ...) -> None: ...

class Rejection(_message.Message):
    __slots__ = ("key", "code", "field", "message")
    KEY_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    key: str
    code: str
    field: str
    message: str
    def __init__(self, key: _Optional[str] = ..., code: _Optional[str] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ("subject", "body", "at")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    subject: str
    body: bytes
    at: float
    def __init__(self, subject: _Optional[str] = ..., body: _Optional[bytes] = ..., at: _Optional[float] = ...) -> None: ...

class Presence(_message.Message):
    __slots__ = ("subject", "connected", "at")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    subject: str
    connected: bool
    at: float
    def __init__(self, subject: _Optional[str] = ..., connected: _Optional[bool] = ..., at: _Optional[float] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("query_id", "body", "error_code", "error")
    QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    query_id: int
    body: bytes
    error_code: str
    error: str
    def __init__(self, query_id: _Optional[int] = ..., body: _Optional[bytes] = ..., error_code: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...

class Renew(_message.Message):
    __slots__ = ("subject", "certificate_pem", "csr_pem", "at", "signature", "sealing_key", "sealing_signature")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    CSR_PEM_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SEALING_KEY_FIELD_NUMBER: _ClassVar[int]
    SEALING_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    subject: str
    certificate_pem: bytes
    csr_pem: bytes
    at: int
    signature: bytes
    sealing_key: bytes
    sealing_signature: bytes
    def __init__(self, subject: _Optional[str] = ..., certificate_pem: _Optional[bytes] = ..., csr_pem: _Optional[bytes] = ..., at: _Optional[int] = ..., signature: _Optional[bytes] = ..., sealing_key: _Optional[bytes] = ..., sealing_signature: _Optional[bytes] = ...) -> None: ...

class Down(_message.Message):
    __slots__ = ("welcome", "updates", "objects", "queries", "renewed", "trust")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    RENEWED_FIELD_NUMBER: _ClassVar[int]
    TRUST_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    updates: _containers.RepeatedCompositeFieldContainer[SignedManifest]
    objects: _containers.RepeatedCompositeFieldContainer[Object]
    queries: _containers.RepeatedCompositeFieldContainer[Query]
    renewed: _containers.RepeatedCompositeFieldContainer[Renewed]
    trust: SignedTrust
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., updates: _Optional[_Iterable[_Union[SignedManifest, _Mapping]]] = ..., objects: _Optional[_Iterable[_Union[Object, _Mapping]]] = ..., queries: _Optional[_Iterable[_Union[Query, _Mapping]]] = ..., renewed: _Optional[_Iterable[_Union[Renewed, _Mapping]]] = ..., trust: _Optional[_Union[SignedTrust, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("version", "release")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    version: int
    release: str
    def __init__(self, version: _Optional[int] = ..., release: _Optional[str] = ...) -> None: ...

class Object(_message.Message):
    __slots__ = ("hash", "body")
    HASH_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    hash: bytes
    body: bytes
    def __init__(self, hash: _Optional[bytes] = ..., body: _Optional[bytes] = ...) -> None: ...

class Query(_message.Message):
    __slots__ = ("query_id", "subject", "kind", "body")
    QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    query_id: int
    subject: str
    kind: str
    body: bytes
    def __init__(self, query_id: _Optional[int] = ..., subject: _Optional[str] = ..., kind: _Optional[str] = ..., body: _Optional[bytes] = ...) -> None: ...

class Renewed(_message.Message):
    __slots__ = ("subject", "chain_pem", "error")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CHAIN_PEM_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    subject: str
    chain_pem: bytes
    error: str
    def __init__(self, subject: _Optional[str] = ..., chain_pem: _Optional[bytes] = ..., error: _Optional[str] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("subject", "token", "at", "requests", "tables", "losses")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    subject: str
    token: str
    at: float
    requests: int
    tables: _containers.RepeatedCompositeFieldContainer[Table]
    losses: _containers.RepeatedCompositeFieldContainer[Loss]
    def __init__(self, subject: _Optional[str] = ..., token: _Optional[str] = ..., at: _Optional[float] = ..., requests: _Optional[int] = ..., tables: _Optional[_Iterable[_Union[Table, _Mapping]]] = ..., losses: _Optional[_Iterable[_Union[Loss, _Mapping]]] = ...) -> None: ...

class Table(_message.Message):
    __slots__ = ("name", "rows", "count")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    rows: bytes
    count: int
    def __init__(self, name: _Optional[str] = ..., rows: _Optional[bytes] = ..., count: _Optional[int] = ...) -> None: ...

class Loss(_message.Message):
    __slots__ = ("reason", "requests")
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    requests: int
    def __init__(self, reason: _Optional[str] = ..., requests: _Optional[int] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("refusal",)
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    refusal: str
    def __init__(self, refusal: _Optional[str] = ...) -> None: ...
