"""The fact lane's beginning: what Asterisk has written is taken in, and everybody may ask how far."""

import asyncio
from datetime import UTC, datetime

import structlog

from vonal.calls.ingest import Ingest
from vonal.calls.tracker import is_urgent
from vonal.domain.journal import Position
from vonal.telephony.journal import Journal

log = structlog.get_logger(__name__)


class Facts:
    """`position`: up to where the journal has been taken in, and committed."""

    def __init__(self, journal: Journal, ingest: Ingest) -> None:
        self._journal, self._ingest = journal, ingest
        self.position = Position()
        self._known_until = datetime.fromtimestamp(0, UTC)

    async def take(self) -> None:
        """Takes in whatever is written, for ever."""
        self.position = await self._ingest.position()
        if backlog := self.backlog:
            log.info("journal_backlog", bytes=backlog)
        async for batch in self._journal.follow(self.position, urgent=is_urgent):
            await self._ingest.take(batch)
            self.position = batch.position
            self.known_until()

    async def up_to_now(self) -> None:
        """Returns when all that is written at this moment has been taken in."""
        end = self._journal.end()
        while self.position < end:  # noqa: ASYNC110 - a moment, and rarely
            await asyncio.sleep(0.02)

    @property
    def backlog(self) -> int:
        """Bytes that are written and not yet taken in."""
        return self._journal.backlog(self.position)

    def known_until(self) -> datetime:
        """Until when everything that happened has been taken in."""
        if not self.backlog:
            self._known_until = datetime.now(UTC)
        return self._known_until
