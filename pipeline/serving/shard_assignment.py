"""Which rerank shard has which fine shard file. Pure: whoever reads the same manifest comes to the same answer."""

from collections.abc import Sequence


def parts_of_files(clips_in_files: Sequence[int], parts: int) -> list[int]:
    """A part for each file of fine tokens, in the order of the manifest.

    Each file goes to the part that has the fewest clips so far, the first one of several. Files that an update adds
    come last and do not move the others, and a file that is written anew keeps its number of records: so a replica
    keeps what it has open, and whoever knows an earlier revision of the version is right about the files in it.

    Args:
        clips_in_files: records of each file.
        parts: how many parts there are.

    >>> parts_of_files([10, 10, 4, 10, 10], 2)
    [0, 1, 0, 1, 0]
    >>> parts_of_files([10], 4)
    [0]
    """
    load = [0] * parts
    chosen = []
    for clips in clips_in_files:
        part = load.index(min(load))
        load[part] += clips
        chosen.append(part)
    return chosen
