"""Publishing a version: all its checks first, and then what is live changes, or nothing does."""

import contextlib
from collections.abc import Callable
from functools import partial

from pipeline.index.canaries import answers_to_texts, answers_to_vectors, compared, own_vectors, read_texts
from pipeline.index.evaluation_note import check_evaluation, note_of, read_report, write_evaluation
from pipeline.index.switch import publish
from pipeline.index.versions import live_version, newest_version, read_evaluation, read_manifest
from pipeline.storage import Store
from schemas.errors import CheckFailedError, IndexCorruptError, IndexMissingError, ReelsiftError
from schemas.index_config import PublishConfig
from schemas.manifest import VersionManifest
from schemas.results import CanaryFigures, PublishSummary

Say = Callable[[str], None]


def publish_checked(config: PublishConfig, say: Say = lambda line: None) -> PublishSummary:
    """Check a version and make it the live one.

    Args:
        config: which one, and what it must pass beside the checks that are always made.
        say: called with what each check found, in one line.

    Raises:
        IndexMissingError: there is no such version.
        CheckFailedError: its recall, or its agreement with the live version, is below what was asked for.
        IndexCorruptError: a part of it is missing, or a clip is not found by its own vector.
        InputError: the canaries or the report cannot be read.
        ModelMismatchError: the report is of another model.
        StorageError: another publish, rollback or gc is under way.
        VectorStoreError: Milvus is away.
    """
    index = Store(config.index)
    version = newest_version(index) if config.version is None else config.version
    manifest = read_manifest(index, version)
    texts = read_texts(config.canaries) if config.canaries else None
    note = note_of(read_report(config.evaluation)) if config.evaluation else None
    if note:
        check_evaluation(index, version, note)
    _check_recall(manifest, config.min_recall, say)
    canaries = _canaries(index, manifest, texts, config.min_overlap, say)
    live_before = _is_live(index, version)
    summary = publish(index, version)
    if note:
        write_evaluation(index, version, note)
    summary = summary.model_copy(update={"evaluation": read_evaluation(index, version)})
    found = f", {len(manifest.sample)} clips found by their own vectors" if manifest.sample else ""
    say(f"checked: files, counts in Milvus{found}")
    if live_before:
        say(f"version {version} was live already: nothing changed")
    return PublishSummary(**dict(summary), canaries=canaries)


def _is_live(index: Store, version: int) -> bool:
    # A damaged pointer names none, and is replaced.
    with contextlib.suppress(IndexCorruptError):
        return live_version(index) == version
    return False


def _check_recall(manifest: VersionManifest, least: float | None, say: Say) -> None:
    found = manifest.recall
    if found is None:
        if least is not None:
            raise CheckFailedError(
                f"version {manifest.version} was built before recall was measured, {least:g} is asked for: build anew"
            )
        return
    if least is not None and found.least < least:
        raise CheckFailedError(
            f"recall@{found.k} of version {manifest.version} is {found.least:.3f}, below the {least:g} asked for: "
            "nothing was published; build anew with --set recall_target"
        )
    say(f"recall@{found.k} at build: {found.own:.3f} for own vectors, {found.noisy:.3f} for noisy ones")


def _canaries(
    index: Store, manifest: VersionManifest, texts: list[str] | None, least: float | None, say: Say
) -> CanaryFigures | None:
    try:
        live = live_version(index)
        if live is None or live == manifest.version:
            return None
        present = read_manifest(index, live)
    except (IndexCorruptError, IndexMissingError) as error:
        # What is live may be just what is broken, and this the way out.
        if least is not None:
            raise CheckFailedError(f"canaries cannot be compared: {error}; nothing was published") from None
        say(f"canaries not compared: {error}")
        return None
    figures, why = _compare(index, manifest, present, texts)
    if figures is None:
        if least is not None:
            raise CheckFailedError(f"canaries were not compared with version {live}: {why}; nothing was published")
        say(f"canaries not compared with version {live}: {why}")
        return None
    say(_told(figures))
    # Another model is another order by design; who changes it looks at the figures.
    if least is not None and figures.same_model and figures.overlap < least:
        raise CheckFailedError(
            f"canaries overlap with version {live} by {figures.overlap:.3f}, below the {least:g} of --min-overlap: "
            "nothing was published"
        )
    return figures


def _compare(
    index: Store, new: VersionManifest, live: VersionManifest, texts: list[str] | None
) -> tuple[CanaryFigures | None, str]:
    kind = "texts" if texts else "own vectors"
    ask: Callable[[VersionManifest], list[list[str]]]
    if texts:
        ask = partial(answers_to_texts, index, texts=texts)
    elif new.model_id != live.model_id:
        return None, f"it is of another model, {live.model_id}; give texts with --canaries"
    else:
        own_QD = own_vectors(index, new)
        if not len(own_QD):
            return None, f"version {new.version} {_why_no_sample(new)}"
        ask = partial(answers_to_vectors, index, queries_QD=own_QD)
    first = ask(new)
    try:
        second = ask(live)
    except ReelsiftError as error:
        # What is live may be just what is broken.
        return None, str(error)
    return compared(kind, new, live, first, second), ""


def _why_no_sample(manifest: VersionManifest) -> str:
    if not manifest.clips:
        return "holds no clips: all of them were deleted"
    if manifest.revision > 1:
        return "names no clips to ask for: those that it named were deleted"
    return "names no clips to ask for, since it was built by an older release"


def _told(figures: CanaryFigures) -> str:
    correlation = "none" if figures.rank_correlation is None else f"{figures.rank_correlation:.3f}"
    models = "" if figures.same_model else ", which is of another model"
    return (
        f"canaries: {figures.count} {figures.queries}, overlap@10 {figures.overlap:.3f} and rank correlation "
        f"{correlation} with version {figures.version}{models}"
    )
