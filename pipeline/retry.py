"""Retry: quarantined sources become pending again, by one more part of the plan.

Nothing is deleted and no commit is touched. The sources are planned once more in tasks of their own; as ever, of a
source planned twice only the newest plan counts, so its old row is history from the moment the part is there.
"""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stages.plan import retry_rows
from pipeline.storage import Store
from pipeline.tables import append_plan, read_plan, read_videos, require_info
from schemas.config import RetryConfig
from schemas.results import RetrySummary
from schemas.tables import HOPELESS_REASONS, PASSING_REASONS, QUARANTINED


def retry(config: RetryConfig) -> RetrySummary:
    """Plan quarantined sources anew; the next `reelsift extract` on these tables does them.

    Killed before the part of the plan is written it has done nothing; after that, all. Called twice, the second finds
    nothing to do, since the sources are pending and no longer quarantined.

    Raises:
        StorageError: there are no tables, or they cannot be read or written.
    """
    store = Store(config.tables)
    require_info(store)
    wanted = (config.reason,) if config.reason else PASSING_REASONS
    while True:
        plan = read_plan(store)
        bad = _quarantined(read_videos(store, plan), wanted)
        rows = plan.rows.filter(pc.is_in(plan.rows["video_id"], bad["video_id"].combine_chunks()))
        if not len(rows):
            return RetrySummary(retried=0, reasons={})
        # An extraction or another retry may append at the same moment: then all is looked at again.
        if append_plan(store, plan, retry_rows(rows, config.videos_per_task)):
            counts = Counter(bad["reason"].to_pylist())
            return RetrySummary(retried=len(rows), reasons=dict(sorted(counts.items())))


def _quarantined(videos: pa.Table, reasons: tuple[str, ...]) -> pa.Table:
    chosen = [reason for reason in reasons if reason not in HOPELESS_REASONS]
    return videos.filter(
        pc.and_(pc.equal(videos["status"], QUARANTINED), pc.is_in(videos["reason"], pa.array(chosen, pa.string())))
    )
