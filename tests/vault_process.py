"""A process of its own that makes new keys one after the other, to be killed: `python vault_process.py FOLDER URL`."""

import sys
from pathlib import Path

from vonal.config import Settings
from vonal.store import sealing
from vonal.store.opening import open_database
from vonal.store.secret import append_secret

MOST = 20

if __name__ == "__main__":
    settings = Settings(data_dir=Path(sys.argv[1]), database_url=sys.argv[2])
    db = open_database(settings)
    for _ in range(MOST):
        append_secret(settings)
        print("key", flush=True)
        db.submit(sealing.any_tenant_seal_anew).result()
        print("rows", flush=True)
