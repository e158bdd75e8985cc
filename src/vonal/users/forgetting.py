"""What is forgotten about people once it has no meaning: old sessions, links and guesses."""

from sqlalchemy import Connection

from vonal.store import sessions, user_links
from vonal.users import guard


def any_tenant_forget(tx: Connection, *, now: int) -> None:
    """Deletes what is over; `now` in ms UTC."""
    sessions.any_tenant_forget(tx, now=now)
    user_links.any_tenant_forget(tx, now=now)
    guard.any_tenant_forget(tx, now=now)
