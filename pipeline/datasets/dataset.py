"""What a set of captioned videos is: captions as its files give them, then joined with the files of its videos."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from schemas.errors import InputError

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Caption:
    """One text of one video.

    Attributes:
        key: the video's name in its set.
        text: a sentence or a paragraph, blanks folded.
        group: what results may be split by; empty where a set has no groups.
        tags: further facts about the text.
        start_s: where in the video the text holds, in seconds; None where a set does not say.
        end_s: where it ends.
    """

    key: str
    text: str
    group: str = ""
    tags: Mapping[str, str | int | float] = field(default_factory=dict, hash=False)
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Size of a split.

    Attributes:
        videos: how many.
        captions: texts after the sentence protocol; None where no figure is published.
    """

    videos: int
    captions: int | None = None


@dataclass(frozen=True)
class Annotations:
    """A split as its annotation files give it, before any video is looked for.

    Attributes:
        captions: in the order of the files.
        protocol: what one text is, and how the split was made, in a sentence.
        official: the published size, if there is one.
        notes: what a reader of results should know, a sentence each.
    """

    captions: tuple[Caption, ...]
    protocol: str
    official: Counts | None = None
    notes: tuple[str, ...] = ()

    def keys(self) -> tuple[str, ...]:
        """The videos, each once, in the order of their first caption."""
        return tuple(dict.fromkeys(caption.key for caption in self.captions))


@dataclass(frozen=True)
class CaptionedVideos:
    """A split of a set, as far as its videos are at hand.

    Attributes:
        name: of the set.
        split: of the set.
        videos: (key, absolute path or URI) of every video with a file, in the order of the annotations.
        captions: of those videos.
        missing: keys of the videos without a file, all of them.
        absent_captions: captions of the missing videos, left out of `captions`.
        protocol: what one text is, and how the split was made, in a sentence.
        notes: what a reader of results should know, a sentence each; sizes that differ from the published ones too.
    """

    name: str
    split: str
    videos: tuple[tuple[str, str], ...]
    captions: tuple[Caption, ...]
    missing: tuple[str, ...]
    absent_captions: int
    protocol: str
    notes: tuple[str, ...] = ()

    def missing_line(self) -> str:
        """The missing videos for a person: how many, how many captions go with them, the first names; or empty.

        >>> CaptionedVideos("msvd", "test", (("a", "/a.avi"),), (), ("b", "c"), 80, "one").missing_line()
        '2 of 3 videos of msvd test have no file, so 80 captions are left out: b, c'
        """
        if not self.missing:
            return ""
        return (
            f"{len(self.missing)} of {len(self.missing) + len(self.videos)} videos of {self.name} {self.split} have no "
            f"file, so {self.absent_captions} captions are left out: {first_names(self.missing)}"
        )


def first_names(names: tuple[str, ...]) -> str:
    """The first few names, and how many more there are.

    >>> first_names(("a", "b", "c", "d", "e", "f", "g"))
    'a, b, c, d, e and 2 more'
    """
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def join_files(
    name: str, split: str, folder: str, annotations: Annotations, locate: Callable[[str], str | None]
) -> CaptionedVideos:
    """Join a split with the files of its videos.

    Args:
        name: of the set.
        split: of the set.
        folder: named in the error.
        annotations: of the split.
        locate: the absolute path or URI of a key's video; None where there is none.

    Raises:
        InputError: not a single video is there.
    """
    keys = annotations.keys()
    found = {key: place for key in keys if (place := locate(key)) is not None}
    missing = tuple(key for key in keys if key not in found)
    if not found:
        raise InputError(
            f"--data {folder}: none of the {len(keys)} videos of {name} {split} is there: {first_names(missing)}; "
            "put them in its folder videos/"
        )
    captions = tuple(caption for caption in annotations.captions if caption.key in found)
    return CaptionedVideos(
        name=name,
        split=split,
        videos=tuple(found.items()),
        captions=captions,
        missing=missing,
        absent_captions=len(annotations.captions) - len(captions),
        protocol=annotations.protocol,
        notes=(*annotations.notes, *_size_note(annotations)),
    )


def _size_note(annotations: Annotations) -> tuple[str, ...]:
    official, videos, captions = annotations.official, len(annotations.keys()), len(annotations.captions)
    if official is None or (videos == official.videos and official.captions in (None, captions)):
        return ()
    wanted = f"{official.videos} videos"
    if official.captions is not None:
        wanted += f" and {official.captions} captions"
    return (f"the annotation files name {videos} videos and {captions} captions; the published split has {wanted}",)
