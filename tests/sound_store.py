"""Recordings as the fact lane leaves them: rows that are `processing`, raw files beside them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sample_calls import answered_call
from vonal.calls.folders import Folders
from vonal.calls.reference import Keys, mint
from vonal.domain.call import Call, Recording
from vonal.domain.sound import Format, Outcome
from vonal.store import calls, recordings
from vonal.store.database import Database
from vonal.store.recordings import StoredRecording
from vonal.store.sql import to_ms
from vonal.store.tables import recording as table

KEYS = Keys.of([b"a secret of the tests"])
TENANT = "acme"


class SoundStore:
    """`outcomes`: what was settled, in order. `settle` does to rows and calls what ingest does, without the events."""

    def __init__(self, db: Database, data_dir: Path) -> None:
        self.db = db
        self.folders = Folders.of(data_dir)
        self.folders.spool.mkdir(parents=True)
        self.outcomes: list[Outcome] = []

    def add(
        self,
        raw: bytes | None,
        *,
        tenant_id: str = TENANT,
        customer_first: bool = False,
        format_: Format = "mp3",
        state: str = "processing",
    ) -> str:
        """A call with one recording; `raw` is what Asterisk wrote (None: nothing). Returns the recording's id."""
        call = answered_call(tenant_id)
        file = f"{call.id}.raw"
        made = mint(KEYS, tenant_id, call.id, file)
        call.recordings = [Recording(id=made, file=file, customer_first=customer_first, state=state)]  # type: ignore[arg-type]
        if raw is not None:
            self.raw(file).write_bytes(raw)
        self.db.submit(lambda tx: self._save(tenant_id, tx, call, format_)).result()
        return made

    def raw(self, file: str) -> Path:
        """The raw file of that name."""
        return self.folders.spool / file

    def row(self, recording_id: str, tenant_id: str = TENANT) -> StoredRecording:
        """The recording's row as it is now."""
        found = self.db.read_now(lambda tx: recordings.find(tenant_id, tx, recording_id))
        assert found is not None
        return found

    def call(self, recording_id: str, tenant_id: str = TENANT) -> Call:
        """The recording's call as it is now."""
        call_id = self.row(recording_id, tenant_id).call_id
        found = self.db.read_now(lambda tx: calls.find(tenant_id, tx, call_id))
        assert found is not None
        return found

    def file(self, recording_id: str) -> Path:
        """The finished file."""
        return self.folders.recordings / (self.row(recording_id).path or "none")

    def let_time_pass(self, recording_id: str) -> None:
        """The recording's retention is over since a second ago."""
        over = to_ms(datetime.now(UTC) - timedelta(seconds=1))
        statement = table.update().where(table.c.id == recording_id).values(delete_at=over)
        self.db.submit(lambda tx: tx.execute(statement)).result()

    async def settle(self, outcome: Outcome) -> None:
        """The callback that the workers are given."""
        delete_at = datetime.now(UTC) + timedelta(days=365) if outcome.recording.state == "ready" else None
        if await self.db.write(
            lambda tx: recordings.settle(outcome.tenant_id, tx, outcome, delete_at=delete_at),
        ):
            self.outcomes.append(outcome)

    def _save(self, tenant_id: str, tx: object, call: Call, format_: Format) -> None:
        calls.save(tenant_id, tx, call)  # type: ignore[arg-type]
        recordings.any_tenant_keep(tx, [call], {tenant_id: format_})  # type: ignore[arg-type]
