"""Parts of local writes that were killed: hidden files that no reader sees, each as large as what was to be written."""

import time
from typing import Final

from pipeline.run_account import RUNS_DIR
from pipeline.storage import Store
from schemas.tables import CLIPS_DIR, CONTENTS_DIR, PARTS_DIR, PLAN_DIR, VIDEOS_DIR

# A write takes seconds; one on another node may outlive the driver that asked for it.
_OLD_S: Final = 3600.0
_FOLDERS: Final = (PLAN_DIR, CLIPS_DIR, VIDEOS_DIR, PARTS_DIR, CONTENTS_DIR, RUNS_DIR)


def sweep_parts(store: Store) -> int:
    """Remove the parts in tables that nobody can still be writing. Only who holds the tables may call it.

    A bucket has none: an object is there whole or not at all.

    Returns:
        how many were removed.

    Raises:
        StorageError: a folder cannot be listed, or a part not be removed.
    """
    if store.is_remote:
        return 0
    before = time.time() - _OLD_S
    old = [
        f"{folder}/{name}"
        for folder in _FOLDERS
        for name, written in store.written(folder).items()
        if name.startswith(".") and name.endswith(".part") and written < before
    ]
    for name in old:
        store.delete(name)
    return len(old)
