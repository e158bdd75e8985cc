"""Where sound lies in the data folder."""

from pathlib import Path

from msgspec import Struct


class Folders(Struct, frozen=True, kw_only=True):
    """`spool`: Asterisk's raw files; `recordings`: the finished ones, and beside them what is made of them."""

    spool: Path
    recordings: Path

    @classmethod
    def of(cls, data_dir: Path) -> "Folders":
        """The folders inside the service's data folder."""
        return cls(spool=data_dir / "engine" / "spool" / "monitor", recordings=data_dir / "recordings")

    # All on one file system, for a rename; no tenant's id begins with a dot.

    @property
    def drafts(self) -> Path:
        """Files that are not whole yet."""
        return self.recordings / ".drafts"

    @property
    def copies(self) -> Path:
        """Finished recordings in other formats than they are kept in; made when asked for, gone after a day."""
        return self.recordings / ".copies"

    def copies_of(self, recording_id: str) -> list[Path]:
        """The copies of one recording that there are now."""
        return sorted(self.copies.glob(f"{recording_id}.*"))
