"""What several parts do to files."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Returns when the names in the folder, such as a new or renamed file's, survive a power loss (fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
