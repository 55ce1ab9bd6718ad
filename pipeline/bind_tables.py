"""Tables hold clips of one model, one sampler and one clip rule: the first extraction binds them."""

from pipeline.storage import Store
from pipeline.tables import read_info
from schemas.errors import ModelMismatchError, UsageError
from schemas.tables import TABLES_INFO, TablesInfo


def bind_tables(store: Store, wanted: TablesInfo) -> None:
    """Bind new tables to a model, sampler and clip rule, or check that old ones are bound to the same.

    Raises:
        ModelMismatchError: they hold embeddings of another model.
        UsageError: they hold clips of another rule or sampler.
    """
    found = read_info(store)
    if found is None:
        if store.create(TABLES_INFO, wanted.model_dump_json(indent=2).encode() + b"\n"):
            return
        found = read_info(store) or wanted
    if found.model_id != wanted.model_id:
        raise ModelMismatchError(
            f"{store.root} holds embeddings of model {found.model_id}, you asked for {wanted.model_id}: "
            f"use --model {found.model}, or other --tables"
        )
    for name in ("clips", "sampler", "identity"):
        old, new = getattr(found, name), getattr(wanted, name)
        if old != new:
            raise UsageError(f"{store.root} was written with {name} = {old}, you asked for {new}: use other --tables")
