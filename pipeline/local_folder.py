"""A local folder to write to, made where it is missing; what a user can get wrong about it is one line."""

from pathlib import Path

from pipeline.storage import explain, is_remote
from schemas.errors import StorageError, UsageError


def open_folder(text: str) -> Path:
    """The absolute path of a folder that is there now.

    Args:
        text: what --out says.

    Raises:
        UsageError: it is no local folder, or a file is in the way.
        StorageError: it cannot be made.
    """
    if is_remote(text):
        raise UsageError(f"--out {text}: give a local folder; copy it to the bucket when it is made")
    out = Path(text.removeprefix("file://")).expanduser().absolute()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"--out {text}: a file is in the way; give a folder") from None
    except OSError as error:
        raise StorageError(f"cannot make the folder {out}: {explain(error)}") from error
    return out
