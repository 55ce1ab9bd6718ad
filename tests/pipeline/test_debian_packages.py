import os
import shutil
import subprocess
import sys
import time

import pytest

from pipeline.debian_packages import DebianPackages
from schemas.errors import InputError

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="packages are built and unpacked with dpkg")


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """An apt-get in front of PATH whose behaviour a test writes as Python; it logs what it was asked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    log = tmp_path / "log"
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def behave(body):
        (folder / "apt-get").write_text(
            f"#!{sys.executable}\n"
            "import os, shutil, sys, time\n"
            "words = sys.argv[1:]\n"
            "own = 'Dir::State' in str(words)\n"
            f"open({str(log)!r}, 'a').write(('own ' if own else '') + words[-1] + '\\n')\n{body}\n"
        )
        (folder / "apt-get").chmod(0o755)
        return lambda: log.read_text().split("\n")[:-1]

    return behave


@pytest.fixture
def deb(tmp_path):
    """A real package that holds one file."""
    root = tmp_path / "package"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: clips\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: clips\n"
    )
    (root / "usr").mkdir()
    (root / "usr" / "clip.mp4").write_bytes(b"clip")
    path = tmp_path / "clips_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", str(root), str(path)], check=True, stdout=subprocess.DEVNULL)
    return path


def test_a_package_is_unpacked_once(apt, deb, tmp_path):
    calls = apt(f"shutil.copy({str(deb)!r}, '.')")
    packages = DebianPackages(tmp_path / "cache", 60)

    for _ in range(2):
        assert (packages.unpacked("clips") / "usr" / "clip.mp4").read_bytes() == b"clip"
    assert calls() == ["clips"]
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["unpacked"]


def test_without_package_lists_it_fetches_its_own(apt, deb, tmp_path):
    calls = apt(
        f"if own and 'update' not in words: shutil.copy({str(deb)!r}, '.')\n"
        "elif not own: sys.exit('E: Unable to locate package clips')"
    )
    packages = DebianPackages(tmp_path / "cache", 60)

    assert (packages.unpacked("clips") / "usr" / "clip.mp4").is_file()
    assert calls() == ["clips", "own update", "own clips"]


def test_without_a_network_it_says_so_once_and_does_not_insist(apt, tmp_path):
    calls = apt("print('W: noise', file=sys.stderr)\nsys.exit('E: Temporary failure resolving the mirror')")
    packages = DebianPackages(tmp_path / "cache", 60)

    with pytest.raises(InputError, match=r"^apt-get update failed: Temporary failure resolving the mirror$"):
        packages.unpacked("clips")
    with pytest.raises(InputError, match="package lists cannot be fetched"):
        packages.unpacked("other")
    assert calls() == ["clips", "own update"]


def test_a_hanging_apt_ends_in_time_with_the_helpers_it_started(apt, tmp_path):
    pid_file = tmp_path / "helper"
    apt(f"helper = os.fork()\nif helper: open({str(pid_file)!r}, 'w').write(str(helper))\ntime.sleep(600)")
    start = time.monotonic()

    with pytest.raises(InputError, match="apt-get update took more than 1 s"):
        DebianPackages(tmp_path / "cache", 1).unpacked("clips")
    assert time.monotonic() - start < 60
    with pytest.raises(ProcessLookupError):
        _wait_until_gone(int(pid_file.read_text()))


def _wait_until_gone(pid):
    for _ in range(500):
        os.kill(pid, 0)
        time.sleep(0.02)


def test_no_apt_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(InputError, match=r"^apt-get is not installed here$"):
        DebianPackages(tmp_path / "cache", 1).unpacked("clips")


def test_a_download_that_is_no_package_leaves_nothing(apt, tmp_path):
    apt("open('clips.deb', 'wb').write(b'no archive')")

    with pytest.raises(InputError, match="dpkg failed"):
        DebianPackages(tmp_path / "cache", 60).unpacked("clips")
    assert list((tmp_path / "cache" / "unpacked").iterdir()) == []
