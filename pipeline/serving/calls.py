"""Calls of one deployment by another: once more where a replica died, and a plain answer where none is left."""

import contextlib
from typing import Any

from ray.exceptions import RayActorError
from ray.serve.exceptions import DeploymentUnavailableError

from pipeline.serving.errors import RESTARTING, FailureError, failure


async def call(method: Any, *args: Any) -> Any:
    """Ask one replica. If it dies under the call, the same question goes once more, to another one.

    Args:
        method: of a handle, such as `handle.encode`.
        args: of the method.

    Raises:
        FailureError: 503 `restarting`: that one died too.
    """
    with contextlib.suppress(RayActorError):
        return await method.remote(*args)
    try:
        return await method.remote(*args)
    except (RayActorError, DeploymentUnavailableError) as error:
        message = "a part of the service is being restarted: try again in a moment"
        raise FailureError(failure(503, RESTARTING, message)) from error


async def call_all(handle: Any, name: str, *args: Any) -> None:
    """Ask every replica of a deployment, once one at least is there. One that dies needs no answer."""
    await call(getattr(handle, name), *args)
    # A replica that starts meanwhile gets itself ready.
    with contextlib.suppress(RayActorError, DeploymentUnavailableError):
        await handle.broadcast(name, *args).results_async()
