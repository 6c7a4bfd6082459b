"""The tables of the console's store, for SQLite and PostgreSQL alike. Changed only by a migration beside this file."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

_Number = BigInteger().with_variant(Integer, "sqlite")

fact = Table(
    "fact",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
"""One row per fact about the deployment: trust_domain, authority (its SHA-256), epoch, slicer, refused (objects that
the release of the last start did not accept as they are)."""

counter = Table(
    "counter",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", _Number, nullable=False),
)
"""The highest number given out: revision, created, and those of Site, Region and Cluster. They only grow."""

object_ = Table(
    "object",
    metadata,
    Column("tenant", String(63), primary_key=True),
    Column("kind", String(63), primary_key=True),
    Column("namespace", String(63), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("revision", _Number, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
)
"""The objects as they are, as envelopes. `revision` is that of the last change."""

revision = Table(
    "revision",
    metadata,
    Column("revision", _Number, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("who", String(255), nullable=False),
)

change = Table(
    "change",
    metadata,
    Column("revision", _Number, ForeignKey("revision.revision"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("key", String(260), nullable=False),
    Column("action", String(16), nullable=False),
    Column("diff", Text, nullable=False),
    Index("change_by_key", "key", "revision"),
)
"""What each revision changed, with the difference as people read it."""

subject = Table(
    "subject",
    metadata,
    Column("subject", String(160), primary_key=True),
    Column("epoch", _Number, nullable=False),
    Column("revision", _Number, nullable=False),
    Column("left_regions", Text, nullable=False),
)
"""The version of each subject's manifest, and the regions that a site was moved away from (names, comma-separated)
until it has heard of it."""

private_value = Table(
    "private_value",
    metadata,
    Column("key", String(260), primary_key=True),
    Column("field", String(64), primary_key=True),
    Column("fingerprint", String(32), primary_key=True),
    Column("key_id", String(16), nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""The private values of objects, encrypted under a key that is not in the database."""

sealing_key = Table(
    "sealing_key",
    metadata,
    Column("subject", String(160), primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
)
"""The public key that a site's secrets are sealed to."""

api_token = Table(
    "api_token",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("expires_at", String(32), nullable=True),
)

account = Table(
    "account",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("password", String(255), nullable=False),
    Column("created_at", String(32), nullable=False),
)
"""People who sign in with a password, of which `password` is the Argon2id hash in PHC form."""

session = Table(
    "session",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("token_id", String(32), nullable=True),
    Column("account", String(63), nullable=True),
    Column("created_at", String(32), nullable=False),
    Column("expires_at", String(32), nullable=False),
)
"""Signed-in browsers: the SHA-256 of the cookie's secret, and the API token or the account that signed in."""

join_token = Table(
    "join_token",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("role", String(16), nullable=False),
    Column("name", String(63), nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("expires_at", String(32), nullable=False),
    Column("used_at", String(32), nullable=True),
    Column("used_by_key", String(64), nullable=True),
)
"""One-time tokens. `used_by_key` is the SHA-256 of the public key that joined."""

certificate = Table(
    "certificate",
    metadata,
    Column("serial", String(64), primary_key=True),
    Column("uri", String(512), nullable=False),
    Column("reason", String(16), nullable=False),
    Column("issued_at", String(32), nullable=False),
    Column("expires_at", String(32), nullable=False),
    Index("certificate_by_uri", "uri"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("at", String(32), nullable=False),
    Column("who", String(255), nullable=False),
    Column("action", String(64), nullable=False),
    Column("detail", Text, nullable=False),
)
"""What changed or was refused beside objects: tokens, joins, certificates, restores."""

event = Table(
    "event",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("level", String(8), nullable=False),
    Column("subject", String(160), nullable=False),
    Column("text", Text, nullable=False),
    Column("key", String(260), nullable=False),
    Index("event_by_subject", "subject", "number"),
)
"""What was noticed of regions and sites. Times of this table and of those below are seconds since 1970."""

alert = Table(
    "alert",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("rule", String(63), nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("site", String(63), nullable=False),
    Column("namespace", String(63), nullable=False),
    Column("object", String(260), nullable=False),
    Column("state", String(16), nullable=False),
    Column("since", Double, nullable=False),
    Column("fired_at", Double, nullable=True),
    Column("resolved_at", Double, nullable=True),
    Index("alert_by_time", "since"),
)
"""Alerts that are pending or fire, and those that fired until lately."""

silence = Table(
    "silence",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("matchers", Text, nullable=False),
    Column("starts", Double, nullable=False),
    Column("ends", Double, nullable=False),
    Column("author", String(255), nullable=False),
    Column("comment", Text, nullable=False),
)
"""`matchers`: label, operator and value of each (JSON)."""

alert_group = Table(
    "alert_group",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("policy", String(260), nullable=False),
    Column("labels", Text, nullable=False),
    Column("began", Double, nullable=False),
    Column("told_at", Double, nullable=True),
    Column("told", Text, nullable=False),
)
"""What the receivers of a group of alerts know: `told` holds the alerts that they were told of as firing (JSON)."""

alert_delivery = Table(
    "alert_delivery",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("receiver", String(260), nullable=False),
    Column("notification", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("ended", Double, nullable=True),
    Column("detail", Text, nullable=False),
    Index("alert_delivery_by_time", "created"),
)
"""Messages to receivers: those that wait to be sent, and what became of the others. Kept in the same transaction as the
group that they are of, so that none is lost."""

acme_attempt = Table(
    "acme_attempt",
    metadata,
    Column("key", String(260), primary_key=True),
    Column("declared", String(64), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("failed_at", String(32), nullable=False),
    Column("next_at", String(32), nullable=False),
)
"""Certificates that could not be got by ACME: how often in a row, why the last time, and when it is tried again, unless
the declaration is another one by then (`declared`: SHA-256 of the one that was tried)."""
