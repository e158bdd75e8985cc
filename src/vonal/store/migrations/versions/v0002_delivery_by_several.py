"""Delivery by several processes, notices to people, and manifests."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the tables, and the shards, which are leased from now on."""
    _manifests()
    _notices()
    _shards()
    _lanes()


def _lanes() -> None:
    op.add_column("lane", sa.Column("failing_since", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_lane_disabled",
        "lane",
        ["tenant_id", "webhook_id"],
        unique=False,
        sqlite_where=sa.text("disabled_at IS NOT NULL"),
        postgresql_where=sa.text("disabled_at IS NOT NULL"),
    )
    op.drop_index("ix_delivery_done", "delivery")


def _manifests() -> None:
    op.create_table(
        "manifest",
        sa.Column("tenant_id", sa.String(length=32), nullable=False),
        sa.Column("date", sa.String(length=10), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("first_id", sa.String(length=64), nullable=True),
        sa.Column("last_id", sa.String(length=64), nullable=True),
        sa.Column("chain", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "date", name="pk_manifest"),
    )
    op.create_index(
        "ix_event_records",
        "event",
        ["tenant_id", "at", "id"],
        unique=False,
        sqlite_where=sa.text("type = 'call.completed'"),
        postgresql_where=sa.text("type = 'call.completed'"),
    )


def _notices() -> None:
    op.create_table(
        "notice",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("tenant_id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("webhook_id", sa.String(length=64), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("mailed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("position", name="pk_notice"),
    )
    op.create_index(
        "ix_notice_mail",
        "notice",
        ["position"],
        unique=False,
        sqlite_where=sa.text("mailed_at IS NULL"),
        postgresql_where=sa.text("mailed_at IS NULL"),
    )
    op.create_index("ix_notice_tenant", "notice", ["tenant_id", "position"], unique=False)


def _shards() -> None:
    op.create_table(
        "shard",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shard"),
    )
    shards = sa.table("shard", *(sa.column(name) for name in ("id", "epoch", "lease_until")))
    op.bulk_insert(shards, [{"id": one, "epoch": 0, "lease_until": 0} for one in range(64)])
