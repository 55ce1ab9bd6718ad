"""Files out of Debian packages, fetched and unpacked into a cache folder; nothing is installed, root is not needed."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.storage import explain
from schemas.errors import InputError

# As root apt hands its downloads to a user who may not write to our cache; elsewhere this setting does nothing.
_APT = ("apt-get", "-qq", "-oAPT::Sandbox::User=root", "-oAcquire::Retries=0", "-oAcquire::http::Timeout=15")


class DebianPackages:
    """A cache of unpacked packages.

    Args:
        cache: folder, made when it is needed.
        timeout_s: for each call of apt-get or dpkg.
    """

    def __init__(self, cache: Path, timeout_s: float) -> None:
        self._cache = cache
        self._timeout_s = timeout_s
        self._own_lists: bool | None = None  # None: not tried; False: tried in vain

    def unpacked(self, package: str) -> Path:
        """The folder of a package's files; downloaded only if it is not in the cache yet.

        Raises:
            InputError: apt-get or dpkg is not there, fails, or takes too long; one line says which.
        """
        root = self._cache / "unpacked" / package
        if root.is_dir():
            return root
        for tool in ("apt-get", "dpkg"):
            if shutil.which(tool) is None:
                raise InputError(f"{tool} is not installed here")
        try:
            root.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._cache) as text:
                work = Path(text)
                self._download(package, work)
                archive = next(work.glob("*.deb"))
                self._run(("dpkg", "-x", str(archive), str(work / "root")), work)
                (work / "root").replace(root)
        except (OSError, StopIteration) as error:
            raise InputError(f"cannot unpack {package} below {self._cache}: {explain(error)}") from error
        return root

    def _download(self, package: str, work: Path) -> None:
        """Fetch with the system's package lists; where they are missing or stale, with lists of our own."""
        if self._own_lists is None:
            try:
                self._run((*_APT, "download", package), work)
                return
            except InputError:
                self._own_lists = False
                self._update()
        if not self._own_lists:
            raise InputError("package lists cannot be fetched")
        self._run((*_APT, *self._own_options(), "download", package), work)

    def _update(self) -> None:
        # Lists of our own, since those of the system are not ours to change, and only root could.
        for folder in ("lists/partial", "cache/archives/partial"):
            (self._cache / "apt" / folder).mkdir(parents=True, exist_ok=True)
        self._run((*_APT, *self._own_options(), "update"), self._cache)
        self._own_lists = True

    def _own_options(self) -> tuple[str, ...]:
        apt = self._cache / "apt"
        return (f"-oDir::State::lists={apt / 'lists'}", f"-oDir::Cache={apt / 'cache'}")

    def _run(self, command: Sequence[str], work: Path) -> None:
        name = next((word for word in ("download", "update") if word in command), "")
        said = f"{command[0]} {name}".rstrip()
        # A file, not a pipe: apt's helpers inherit it, and a pipe they hold open would outlive the time limit.
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                command,
                cwd=work,
                env={**os.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
            try:
                code = process.wait(self._timeout_s)
            except subprocess.TimeoutExpired:
                raise InputError(f"{said} took more than {self._timeout_s:g} s") from None
            finally:
                _end_group(process)
            if code:
                errors.seek(0)
                lines = errors.read().decode(errors="replace").strip().splitlines() or ["no message"]
                raise InputError(f"{said} failed: {lines[-1].removeprefix('E: ')}")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the process, if it still runs, with all helpers it started: they are in a session of their own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
