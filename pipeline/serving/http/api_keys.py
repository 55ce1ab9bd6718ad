"""Who may ask: bearer tokens, read once at the start and from then on known by their hashes only."""

import hmac
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigError
from schemas.front import FrontSettings

MIN_CHARS = 20
_ENV = "env:"
_KEY = re.compile(r"[A-Za-z0-9._~+/=-]+")
_HASH = "sha256"


@dataclass(frozen=True)
class Access:
    """What a service asks of a request. It travels to replicas, so it holds no key in clear.

    Attributes:
        salt: drawn at the start; what the hashes are keyed with.
        api: hashes of the keys that may search; none where anyone may.
        admin: hashes of the keys that may do everything.
        local_only: nobody had to choose, since only this machine can ask; then the name asked for must be one of this
            machine's own, which a page from elsewhere cannot bring about.
    """

    salt: bytes = b""
    api: tuple[bytes, ...] = ()
    admin: tuple[bytes, ...] = ()
    local_only: bool = False

    def may_search(self, token: str | None) -> bool:
        """Whether searches are answered for a token; None for none."""
        return not self.api or self._is_one_of(token, (*self.api, *self.admin))

    def may_administer(self, token: str | None) -> bool:
        """Whether a token may change what is served."""
        if not self.admin:
            return self.local_only
        return self._is_one_of(token, self.admin)

    def _is_one_of(self, token: str | None, hashes: Sequence[bytes]) -> bool:
        if token is None:
            return False
        mine = _hash(self.salt, token)
        # All of them, whichever matches: the time must not tell which.
        return sum([hmac.compare_digest(mine, each) for each in hashes]) > 0


def access_of(settings: FrontSettings) -> Access:
    """Read the keys that the settings name.

    Raises:
        ConfigError: there are none where they should be, or one is no key.
    """
    salt = secrets.token_bytes(16)
    api = _hashes(salt, "--api-keys", settings.api_keys)
    admin = _hashes(salt, "--admin-keys", settings.admin_keys)
    return Access(salt, api, admin, local_only=not (api or settings.no_auth))


def _hash(salt: bytes, key: str) -> bytes:
    return hmac.digest(salt, key.encode("utf-8", "surrogatepass"), _HASH)


def _hashes(salt: bytes, flag: str, where: str | None) -> tuple[bytes, ...]:
    if where is None:
        return ()
    keys = _keys(flag, where)
    if not keys:
        raise ConfigError(f"{flag} {where} holds no key: write one a line, of at least {MIN_CHARS} characters")
    for place, key in enumerate(keys, start=1):
        # The key itself must not come onto a terminal or into a log.
        if len(key) < MIN_CHARS or not _KEY.fullmatch(key):
            raise ConfigError(
                f"{flag} {where}: key {place} has {len(key)} characters: take at least {MIN_CHARS} of A-Z a-z 0-9 and "
                "._~+/=- such as 'openssl rand -base64 32' gives"
            )
    return tuple(_hash(salt, key) for key in keys)


def _keys(flag: str, where: str) -> list[str]:
    if where.startswith(_ENV):
        text = os.environ.get(where.removeprefix(_ENV))
        if text is None:
            raise ConfigError(f"{flag} {where}: the environment has no such variable")
        return text.replace(",", " ").split()
    try:
        lines = Path(where).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{flag} {where} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{flag} {where} is not text: write a key a line") from None
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
