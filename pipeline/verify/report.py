"""What verification has found so far."""

from dataclasses import dataclass, field


@dataclass
class Findings:
    """Filled by the parts of a verification, in their order.

    Attributes:
        problems: one line each: the object, the row, what is wrong.
        orphans: objects that no reader looks at.
        clip_ids: of the clips that are current and committed; kept where an index is to be compared with them.
        deleted: videos whose clips were deleted on request; kept where an index is to be compared with them.
        pending: planned sources without a commit.
        objects: clips and videos objects read.
        clips: rows of clips checked.
        clip_objects: of the tasks whose clips are in more than one object.
    """

    problems: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    clip_ids: set[str] | None = None
    deleted: set[str] = field(default_factory=set)
    pending: int = 0
    objects: int = 0
    clips: int = 0
    clip_objects: dict[str, int] = field(default_factory=dict)
