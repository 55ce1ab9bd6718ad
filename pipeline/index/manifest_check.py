"""What must hold of a manifest beyond its types: that the parts it names fit one another and this release."""

from collections.abc import Iterator

from pipeline.index.fine_layout import HEADER_BYTES, record_dtype
from pipeline.index.index_choice import INDEX_TYPES
from schemas.errors import IndexCorruptError
from schemas.manifest import MANIFEST_FORMAT, VersionManifest


def check_manifest(manifest: VersionManifest, version: int, path: str) -> None:
    """Refuse what no build writes.

    Args:
        manifest: as it was read.
        version: the number of its folder.
        path: where it is, for people.

    Raises:
        IndexCorruptError: it is of another format, or a part does not fit the others.
    """
    if manifest.format != MANIFEST_FORMAT:
        raise IndexCorruptError(
            f"{path} is of format {manifest.format}, this release reads {MANIFEST_FORMAT}: take the release that built "
            "it, or build the index anew"
        )
    for problem in _problems(manifest, version):
        raise IndexCorruptError(f"{path} is damaged ({problem}): restore it, or build the index anew")


def _problems(manifest: VersionManifest, version: int) -> Iterator[str]:
    if manifest.version != version:
        yield f"it is of version {manifest.version}, its folder is that of {version}"
    for index_type in [manifest.index_type, *([manifest.frames.index_type] if manifest.frames else [])]:
        if index_type not in INDEX_TYPES:
            yield f"unknown index_type {index_type!r}; known: {', '.join(INDEX_TYPES)}"
    record_bytes = record_dtype(manifest.token_shape, manifest.codec).itemsize
    for shard in manifest.shards:
        if shard.size_bytes != HEADER_BYTES + shard.clips * record_bytes:
            yield (
                f"{shard.name} has {shard.clips} clips in {shard.size_bytes} bytes, which is not what codec "
                f"{manifest.codec} makes"
            )
    stored = sum(shard.clips - shard.holes for shard in manifest.shards)
    if stored != manifest.clips:
        yield f"its shards hold {stored} clips, it says {manifest.clips}"
