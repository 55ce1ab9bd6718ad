"""The folder of a run, local or in an object store: every object is there whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.storage import Store, explain
from schemas.errors import StorageError


class RunStore(Store):
    """A store into which large files are written without holding them in memory."""

    @contextmanager
    def new_file(self, name: str) -> Iterator[Path]:
        """A local path to write; what stands there in the end becomes the object `name`, unless the block raises.

        Raises:
            StorageError: the location refuses; an object of that name stays as it was.
        """
        if self.is_remote:
            with tempfile.TemporaryDirectory(prefix="reelsift-") as folder:
                path = Path(folder) / os.path.basename(name)
                yield path
                self.upload(path, name)
            return
        target = Path(self.path(name))
        # One part a name: what a killed run left behind is overwritten, not gathered.
        part = target.with_name(f".{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield part
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(target)
        except OSError as error:
            raise StorageError(f"cannot write {target}: {explain(error)}") from error
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """An object as a local file, for as long as the block lasts.

        Raises:
            StorageError: it is missing or cannot be read.
        """
        if not self.is_remote:
            yield Path(self.path(name))
            return
        with tempfile.TemporaryDirectory(prefix="reelsift-") as folder:
            path = Path(folder) / os.path.basename(name)
            self.download(name, path)
            yield path
