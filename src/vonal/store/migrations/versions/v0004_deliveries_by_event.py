"""What is owed but once is told by its event first, so that new deliveries stand side by side in that index too."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Changes the index; SQLite writes the table anew for that."""
    with op.batch_alter_table("delivery") as delivery:
        delivery.drop_constraint("uq_delivery_tenant_id_webhook_id_event_id", type_="unique")
    op.create_index("uq_delivery_owed", "delivery", ["event_id", "webhook_id"], unique=True)
