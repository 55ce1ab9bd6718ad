"""Frames of the worst queries as small JPEGs inside the page."""

import base64
import io
from collections.abc import Sequence

from pipeline.stages.fetch import local_copy
from pipeline.thumbnail import frame_at
from schemas.errors import BadVideoError
from schemas.evaluation import Moment, WorstQuery

_SIDE_PX, _QUALITY = 200, 75
_MAX_SOURCE_BYTES = 8 << 30

# (uri, time) -> a data: URI, or why there is none, which never begins with "data:".
Pictures = dict[tuple[str, float], str]


def pictures_of(worst: Sequence[WorstQuery], etags: dict[str, str]) -> Pictures:
    """One picture for each moment, decoded once.

    Args:
        worst: the queries shown.
        etags: of the files as they were decoded; another file of the same name is not shown.
    """
    moments = {(one.uri, one.time_s): one for query in worst for one in (query.own, query.found)}
    return {key: _picture(moment, etags[moment.uri]) for key, moment in moments.items()}


def _picture(moment: Moment, etag: str) -> str:
    try:
        with local_copy(moment.uri, etag, _MAX_SOURCE_BYTES) as path:
            picture = frame_at(path, moment.time_s, _SIDE_PX)
    except (BadVideoError, OSError) as error:
        return f"no picture: {' '.join(str(error).split())}"
    sink = io.BytesIO()
    picture.convert("RGB").save(sink, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(sink.getvalue()).decode()}"
