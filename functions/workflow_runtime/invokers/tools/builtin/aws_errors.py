"""botocore's errors as error types of the language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workflow_runtime.errors import NodeError

RATE_LIMITED = (
    "Throttl", "TooManyRequests", "LimitExceeded", "RequestLimitExceeded", "SlowDown", "ProvisionedThroughput"
)  # fmt: skip
MESSAGE_CHARACTERS_MAX = 300


def call_aws(what: str, call: Callable[..., Any], **arguments: Any) -> Any:
    """``call(**arguments)``. Raises `NodeError`: ``rate_limited``, ``timeout``, ``not_found``, ``execution_error``."""
    from botocore import exceptions

    try:
        return call(**arguments)
    except exceptions.ClientError as error:
        details = error.response.get("Error", {})
        code = str(details.get("Code", ""))
        message = f"{what}: {code}: {str(details.get('Message', ''))[:MESSAGE_CHARACTERS_MAX]}"
        if any(part in code for part in RATE_LIMITED):
            raise NodeError("rate_limited", message) from error
        raise NodeError("not_found" if "NotFound" in code else "execution_error", message) from error
    except (exceptions.ReadTimeoutError, exceptions.ConnectTimeoutError) as error:
        raise NodeError("timeout", f"{what} did not answer in time") from error
    except exceptions.BotoCoreError as error:
        raise NodeError("execution_error", f"{what}: {str(error)[:MESSAGE_CHARACTERS_MAX]}") from error
