"""The model that tables were extracted with."""

from models.eercf import EercfModel
from models.registry import load_model
from schemas.errors import ModelMismatchError
from schemas.tables import TablesInfo


def model_of_tables(info: TablesInfo) -> EercfModel:
    """Load the model of some tables.

    Raises:
        UnknownModelError: it cannot be loaded here.
        ModelMismatchError: what loads is not the model that made the tables.
    """
    model = load_model(info.model)
    if model.model_id != info.model_id:
        raise ModelMismatchError(
            f"the tables were extracted with model {info.model_id}, but {info.model!r} now loads as {model.model_id}: "
            "restore that model, or extract anew into other tables"
        )
    return model
