"""The tables, the same on SQLite and PostgreSQL. Times are integer milliseconds UTC; JSON is text made by msgspec."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite only counts rows by itself in a column that is exactly INTEGER PRIMARY KEY.
Counter = BigInteger().with_variant(Integer, "sqlite")
# In the order of its characters, so that those with one beginning lie together, whatever language the server speaks.
Word66 = String(66).with_variant(String(66, collation="C"), "postgresql")
OPEN, DELIVERED, PARKED, DROPPED, DISABLED = range(5)  # delivery.state

setting = Table(
    "setting", metadata, Column("name", String(64), primary_key=True), Column("value", Text, nullable=False)
)

journal_position = Table(
    "journal_position",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("segment", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
)

trunk = Table("trunk", metadata, Column("id", String(32), primary_key=True), Column("data", Text, nullable=False))

tenant = Table("tenant", metadata, Column("id", String(32), primary_key=True), Column("data", Text, nullable=False))


def _of_tenant(*columns: Column[str]) -> tuple[Column[str] | ForeignKeyConstraint, ...]:
    key: Column[str] = Column("tenant_id", String(32), primary_key=True)
    return (key, *columns, ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"))


extension = Table(
    "extension",
    metadata,
    *_of_tenant(Column("number", String(8), primary_key=True), Column("data", Text, nullable=False)),
)
number = Table(
    "number",
    metadata,
    *_of_tenant(Column("number", String(16), primary_key=True), Column("data", Text, nullable=False)),
    UniqueConstraint("number"),
)
webhook = Table(
    "webhook",
    metadata,
    *_of_tenant(Column("id", String(64), primary_key=True), Column("data", Text, nullable=False)),
)
api_user = Table(
    "api_user",
    metadata,
    *_of_tenant(
        Column("user", String(128), primary_key=True, index=True),
        Column("password_hash", Text, nullable=False),
        Column("data", Text, nullable=False),
    ),
)
api_key = Table(
    "api_key",
    metadata,
    *_of_tenant(
        Column("name", String(128), primary_key=True),
        Column("key_hash", String(64), nullable=False, unique=True),
        Column("data", Text, nullable=False),
    ),
)

# Calls outlive the directory's changes, so they and what hangs on them do not refer to its tables.
call = Table(
    "call",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant_id", String(32), nullable=False),
    Column("linkedid", String(150), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("direction", String(16), nullable=False),
    Column("disposition", String(16)),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("from_number", String(64)),
    Column("to_number", String(64)),
    Column("extensions", Text, nullable=False),  # ",101,102,": every extension that took part
    Column("has_recording", Boolean, nullable=False),
    Column("data", Text, nullable=False),
    Index("ix_call_listing", "tenant_id", "started_at", "id"),
    Index(  # calls under way
        "ix_call_unfinished",
        "tenant_id",
        "started_at",
        "id",
        sqlite_where=text("state <> 'completed'"),
        postgresql_where=text("state <> 'completed'"),
    ),
)

call_key = Table(  # by what completed calls are found: see `vonal.store.call_keys`
    "call_key",
    metadata,
    Column("tenant_id", String(32), primary_key=True),
    Column("key", Word66, primary_key=True),
    Column("facet", SmallInteger, primary_key=True),
    Column("started_at", BigInteger, primary_key=True),
    Column("call_id", String(64), primary_key=True),
    sqlite_with_rowid=False,
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant_id", String(32), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("call_id", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
)

event = Table(
    "event",
    metadata,
    Column("position", Counter, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("tenant_id", String(32), nullable=False),
    Column("call_id", String(64)),
    Column("sequence", Integer, nullable=False),
    Column("type", String(32), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("ix_event_tenant", "tenant_id", "position"),
    Index(
        "uq_event_completed",
        "call_id",
        unique=True,
        sqlite_where=text("type = 'call.completed'"),
        postgresql_where=text("type = 'call.completed'"),
    ),
    Index(  # a day's manifest
        "ix_event_records",
        "tenant_id",
        "at",
        "id",
        sqlite_where=text("type = 'call.completed'"),
        postgresql_where=text("type = 'call.completed'"),
    ),
    UniqueConstraint("call_id", "sequence"),
)

delivery = Table(
    "delivery",
    metadata,
    Column("position", Counter, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("tenant_id", String(32), nullable=False),
    Column("webhook_id", String(64), nullable=False),
    Column("event_id", String(64), nullable=False),
    Column("call_id", String(64)),
    Column("type", String(32), nullable=False),
    Column("state", SmallInteger, nullable=False, default=OPEN),
    Column("attempts", Integer, nullable=False, default=0),  # ever made; X-Vonal-Attempt counts them
    Column("tries", Integer, nullable=False, default=0),  # since it was last opened; the retry schedule counts these
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),  # of live events: not worth sending after that
    Column("done_at", BigInteger),
    Column("last_status", Integer),
    Column("last_error", Text),
    Index(
        "ix_delivery_due",
        "tenant_id",
        "webhook_id",
        "due_at",
        "position",
        sqlite_where=text("state = 0"),
        postgresql_where=text("state = 0"),
    ),
    Index(
        "ix_delivery_expiry",
        "expires_at",
        sqlite_where=text("state = 0 AND expires_at IS NOT NULL"),
        postgresql_where=text("state = 0 AND expires_at IS NOT NULL"),
    ),
    Index("ix_delivery_call", "tenant_id", "call_id", "webhook_id", "position"),
    Index("ix_delivery_log", "tenant_id", "position"),
    Index("uq_delivery_owed", "event_id", "webhook_id", unique=True),  # once; an event is of one tenant
)

lane = Table(  # the sending queue of one webhook: the retry clock that all its deliveries share
    "lane",
    metadata,
    Column("tenant_id", String(32), primary_key=True),
    Column("webhook_id", String(64), primary_key=True),
    Column("fails", Integer, nullable=False, default=0),
    Column("next_at", BigInteger, nullable=False, default=0),
    Column("failing_since", BigInteger),
    Column("disabled_at", BigInteger),
    Column("disabled_digest", String(64)),  # of the webhook as it was then: a changed one is tried again
    Index(
        "ix_lane_disabled",
        "tenant_id",
        "webhook_id",
        sqlite_where=text("disabled_at IS NOT NULL"),
        postgresql_where=text("disabled_at IS NOT NULL"),
    ),
)

shard = Table(  # a share of all lanes, leased to one delivery process; `epoch` counts the leases, and fences old ones
    "shard",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("owner", String(64)),
    Column("epoch", BigInteger, nullable=False, default=0),
    Column("lease_until", BigInteger, nullable=False, default=0),
)

notice = Table(  # what a tenant's people are told: in the portal, and by mail
    "notice",
    metadata,
    Column("position", Counter, primary_key=True, autoincrement=True),
    Column("tenant_id", String(32), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("type", String(32), nullable=False),
    Column("webhook_id", String(64)),
    Column("detail", Text, nullable=False),
    Column("mailed_at", BigInteger),
    Index("ix_notice_tenant", "tenant_id", "position"),
    Index(
        "ix_notice_mail",
        "position",
        sqlite_where=text("mailed_at IS NULL"),
        postgresql_where=text("mailed_at IS NULL"),
    ),
)

manifest = Table(  # of days whose events are no longer kept
    "manifest",
    metadata,
    Column("tenant_id", String(32), primary_key=True),
    Column("date", String(10), primary_key=True),
    Column("records", Integer, nullable=False),
    Column("first_id", String(64)),
    Column("last_id", String(64)),
    Column("chain", String(64), nullable=False),
)

attempt = Table(
    "attempt",
    metadata,
    Column("tenant_id", String(32), nullable=False),
    Column("delivery_id", String(64), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("took_ms", Integer, nullable=False),
    Column("status", Integer),
    Column("error", Text),
    Column("fault", String(16)),
    Column("answer", Text),
)

recording = Table(
    "recording",
    metadata,
    Column("id", String(160), primary_key=True),
    Column("tenant_id", String(32), nullable=False),
    Column("call_id", String(64), nullable=False, index=True),
    Column("state", String(16), nullable=False, index=True),
    Column("file", Text, nullable=False),
    Column("customer_first", Boolean, nullable=False),
    Column("format", String(8), nullable=False),
    Column("path", Text),
    Column("size_bytes", BigInteger),
    Column("sha256", String(64)),
    Column("duration_s", Text),
    Column("reason", String(16)),
    Column("created_at", BigInteger, nullable=False),
    Column("delete_at", BigInteger, index=True),
)

user = Table(  # people who sign in to the portal
    "user",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("email", String(254), nullable=False, unique=True),  # in lower case
    Column("operator", Boolean, nullable=False, default=False),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    Column("subject", String(255), unique=True),  # at the OpenID provider
    Column("profile", Text, nullable=False),  # name, language
    Column("secrets", Text, nullable=False),  # password's hash, second factor, recovery codes: sealed
)

membership = Table(
    "membership",
    metadata,
    *_of_tenant(
        Column("user_id", String(40), primary_key=True, index=True),
        Column("role", String(16), nullable=False),
        Column("extension", String(8)),
    ),
    ForeignKeyConstraint(["user_id"], ["user.id"], ondelete="CASCADE"),
)

session = Table(  # a browser that is signed in; its cookie's token is stored as a hash
    "session",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("id", String(40), nullable=False, unique=True),  # by which it is listed and revoked
    Column("user_id", String(40), nullable=False, index=True),
    Column("tenant_id", String(32)),  # which of his tenants the user looks at; an operator: as which he acts
    Column("passed", String(16), nullable=False),  # "password": the second factor is owed; "enrol": to be set up; "all"
    Column("proved_at", BigInteger, nullable=False),  # when the user last showed password or factor
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("address", String(64), nullable=False),
    Column("browser", String(256), nullable=False),
    ForeignKeyConstraint(["user_id"], ["user.id"], ondelete="CASCADE"),
)

passkey = Table(  # WebAuthn credentials
    "passkey",
    metadata,
    Column("id", String(1400), primary_key=True),  # the credential's id, base64url
    Column("user_id", String(40), nullable=False, index=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("name", String(128), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    ForeignKeyConstraint(["user_id"], ["user.id"], ondelete="CASCADE"),
)

user_link = Table(  # invitations and resets of passwords, sent as links
    "user_link",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("user_id", String(40), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    ForeignKeyConstraint(["user_id"], ["user.id"], ondelete="CASCADE"),
)

guessing = Table(  # failed sign-ins, by account and by address
    "guessing",
    metadata,
    Column("who", String(300), primary_key=True),
    Column("fails", Integer, nullable=False),
    Column("last_at", BigInteger, nullable=False, index=True),
    Column("locked_until", BigInteger, nullable=False),
)

audit = Table(  # who changed what; outlives what it speaks of
    "audit",
    metadata,
    Column("position", Counter, primary_key=True, autoincrement=True),
    Column("tenant_id", String(32), nullable=False),  # empty: the service's own
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", String(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("name", String(254), nullable=False),
    Column("before", Text),
    Column("after", Text),
    Index("ix_audit_tenant", "tenant_id", "position"),
)
