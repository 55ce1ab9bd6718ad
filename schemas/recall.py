"""How stage 1 may find its candidates, and whether an index is built for all of it."""

from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator

RecallMode = Literal["coarse", "frames", "both"]
RECALL_MODES: Final[tuple[RecallMode, ...]] = get_args(RecallMode)


def _word(value: Any) -> Any:
    # YAML reads a bare yes as true.
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


# The index of vectors: "auto" by their number and by memory.
IndexTypeSetting = Literal["auto", "FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8", "IVF_RABITQ", "DISKANN"]
# Whether an index gets frame vectors: "auto" where they are affordable.
FramesSetting = Annotated[Literal["auto", "yes", "no"], BeforeValidator(_word)]
