"""No tracked file names a package registry's host, a path of one machine, or a secret."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Put together here, so that this file passes its own test.
_HOSTS = (
    "py-pi org", "python-hosted org", "download pytorch org", "npm-js org", "deb debian org", "archive ubuntu com",
    "crates io", "anaconda org", "ghcr io", "docker io",
)  # fmt: skip
_FORBIDDEN = {
    "a registry's host": "|".join(rf"\b{host}\b".replace("-", "").replace(" ", r"\.") for host in _HOSTS),
    "a path of one machine": r"(?<![\w.}])/(?:root|work|Users|opt/(?:pypi|wheels))/|/home/(?!ray\b|ubuntu\b)\w",
    "an access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{30}|\bhf_\w{30}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a password": r"(?i)(?:password|secret_access_key|auth_token)\s*[=:]\s*[\"'][A-Za-z0-9/+]{20,}[\"']",
}


def found_in(text):
    return [what for what, pattern in _FORBIDDEN.items() if re.search(pattern, text)]


def tracked_texts():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file():
            data = path.read_bytes()
            if b"\0" not in data:
                yield name, data.decode()


def test_no_tracked_file_holds_what_belongs_to_one_machine_or_person():
    assert {name: found for name, text in tracked_texts() if (found := found_in(text))} == {}


def test_no_tracked_file_is_large_or_a_leftover():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    files = [ROOT / name for name in listed if name and (ROOT / name).is_file()]
    assert [path.name for path in files if path.stat().st_size > 5 << 20] == []
    assert [path.name for path in files if path.suffix in {".pyc", ".log", ".part", ".orig", ".bak"}] == []


@pytest.mark.parametrize(
    "text",
    [
        "https://" + "pypi." + "org/simple",
        "/ro" + "ot/x",
        "/ho" + "me/me/x",
        "AKIA" + "A" * 16,
        "password = '" + "a" * 24 + "'",
    ],
)
def test_a_planted_one_is_found(text):
    assert found_in(text)
