"""INDEX/intent.json: a change of an index that has begun. Who finds one finishes it before anything else is done."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

INTENT: Final = "intent.json"
DELETE: Final = "delete"
UPDATE: Final = "update"


class VersionChange(BaseModel):
    """What happens to one version.

    Attributes:
        version: its number.
        revision: of its manifest afterwards. A manifest that has it proves that all but the tidying up is done.
        videos: how many of its videos lose their clips.
        clip_ids: the clips that go.
        holes: the rows of their records by the number of the shard.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    revision: int
    videos: int
    clip_ids: list[str]
    holes: dict[int, list[int]]


class Intent(BaseModel):
    """All that a second attempt needs when the first was killed: the rows are found before any of them goes.

    Attributes:
        action: what was asked for.
        tables: root of the tables.
        video_ids: of a delete: what goes from the tables.
        tasks: of an update: tasks of the tables that the version gets.
        changes: by version.
        created_utc: when it began.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["delete", "update"]
    tables: str
    video_ids: list[str]
    tasks: list[str]
    changes: list[VersionChange]
    created_utc: str
