"""From a text to its vectors, with the model of an index version."""

from models.eercf import EercfModel
from models.registry import load_model
from pipeline.ranking import EncodedQuery
from schemas.errors import ModelMismatchError
from schemas.manifest import VersionManifest


def load_version_model(manifest: VersionManifest) -> EercfModel:
    """The model of an index version.

    Raises:
        UnknownModelError: it cannot be loaded here.
        ModelMismatchError: what loads is not the model that made the index.
    """
    model = load_model(manifest.model)
    if model.model_id != manifest.model_id:
        raise ModelMismatchError(
            f"index version {manifest.version} was built with model {manifest.model_id}, but {manifest.model!r} now "
            f"loads as {model.model_id}: restore that model, or extract and build anew"
        )
    return model


def encode_query(model: EercfModel, query: str) -> EncodedQuery:
    """Encode one text, alone.

    The last bits of a vector depend on the texts beside it in a batch, and softmaxes at temperature 0.01 carry
    them into the ranking: a text encoded alone has one answer.
    """
    text_TD = model.encode_text([query])
    query_TD = model.fold_query(text_TD)
    return EncodedQuery(text_TD[0].cpu().float().numpy(), query_TD[0].cpu().float().numpy())
