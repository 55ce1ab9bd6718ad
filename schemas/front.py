"""Settings of what stands between the users of a service and its search: who may ask, what is shown, what is told."""

import ipaddress
import os
from typing import Annotated, Self

from pydantic import BaseModel, Field, StringConstraints, field_validator, model_validator

_Origin = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.\[\]:-]+$")]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class FrontSettings(BaseModel):
    """The part of the settings of `reelsift serve` that this file is about.

    Attributes:
        host: address to listen on.
        api_keys: FILE or env:NAME, with the keys that may search.
        admin_keys: FILE or env:NAME, with the keys that may do everything.
        no_auth: anyone who reaches the port may search.
        cors_origin: origins whose pages may ask, such as https://videos.example.
        media: whether videos and pictures of clips are served; None for wherever searching is not open to strangers.
        request_log: file that gets a line of JSON for each request; None for the replica's stderr.
        log_queries: the lines hold the texts too.
        traces: where OpenTelemetry traces go by OTLP over HTTP; None for nowhere.
    """

    host: str = "127.0.0.1"
    api_keys: str | None = Field(default=None, min_length=1)
    admin_keys: str | None = Field(default=None, min_length=1)
    no_auth: bool = False
    cors_origin: list[_Origin] = []
    media: bool | None = None
    request_log: str | None = Field(default=None, min_length=1)
    log_queries: bool = False
    traces: str | None = Field(default=None, pattern=r"^https?://[^\s]+$")

    @property
    def serves_media(self) -> bool:
        """Whether videos and pictures of clips are served."""
        return self.media if self.media is not None else not self.no_auth

    @field_validator("request_log")
    @classmethod
    def _from_here(cls, value: str | None) -> str | None:
        # The process that writes it may work in another folder.
        return value and os.path.abspath(value)

    @model_validator(mode="after")
    def _open_by_choice_only(self) -> Self:
        if self.no_auth and self.api_keys:
            raise ValueError("--no-auth and --api-keys contradict each other: give one of them")
        if not (self.no_auth or self.api_keys or is_loopback(self.host)):
            raise ValueError(
                f"--host {self.host} can be reached from other machines: give --api-keys FILE, or --no-auth to answer "
                "whoever asks"
            )
        return self
