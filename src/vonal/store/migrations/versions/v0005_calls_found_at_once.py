"""Calls are found at once by whatever is asked for, be they millions."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

PIECE = 10_000
DIRECTIONS = {"inbound": 0, "outbound": 1, "internal": 2}
DISPOSITIONS = {None: 0, "answered": 1, "no_answer": 2, "busy": 3, "cancelled": 4, "rejected": 5, "failed": 6}
COLUMNS = "id, tenant_id, direction, disposition, started_at, from_number, to_number, extensions, has_recording"


def upgrade() -> None:
    """Makes the table of keys, and fills it."""
    unfinished = sa.text("state <> 'completed'")
    op.drop_index("ix_call_unfinished", table_name="call")
    op.create_index(
        "ix_call_unfinished",
        "call",
        ["tenant_id", "started_at", "id"],
        unique=False,
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
    word = sa.String(length=66).with_variant(sa.String(length=66, collation="C"), "postgresql")
    made = op.create_table(
        "call_key",
        sa.Column("tenant_id", sa.String(length=32), nullable=False),
        sa.Column("key", word, nullable=False),
        sa.Column("facet", sa.SmallInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key", "facet", "started_at", "call_id", name="pk_call_key"),
        sqlite_with_rowid=False,
    )
    for calls in _pieces(op.get_bind()):
        op.bulk_insert(made, [row for call in calls for row in _rows(call)])


def _pieces(tx: sa.Connection) -> Iterator[list[Any]]:
    page = sa.text(
        f"SELECT {COLUMNS} FROM call WHERE state = 'completed' AND id > :after ORDER BY id LIMIT {PIECE}"  # noqa: S608
    )
    after = ""
    while calls := list(tx.execute(page, {"after": after})):
        yield calls
        after = calls[-1].id


def _rows(call: Any) -> Iterator[dict[str, Any]]:
    numbers = {f"n{number[::-1]}" for number in (call.from_number, call.to_number) if number}
    extensions = {f"x{one}" for one in call.extensions.split(",") if one}
    outcome = DIRECTIONS[call.direction] * len(DISPOSITIONS) + DISPOSITIONS[call.disposition]
    for key in {"", *numbers, *extensions}:
        yield {
            "tenant_id": call.tenant_id,
            "key": key,
            "facet": outcome * 2 + bool(call.has_recording),
            "started_at": call.started_at,
            "call_id": call.id,
        }
