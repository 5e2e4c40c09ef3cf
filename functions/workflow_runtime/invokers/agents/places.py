"""Where the models of an agent may be that was published at run time.

The files of a deployment are its own. Whoever may publish agents is not to have credentials, or what executions tell
their models, sent to a place of their choice: the allow-list of the tool `http_request` says which places are fine.
"""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents.definition import AgentDefinition
from workflow_runtime.invokers.tools.reach import Reach


async def check_places(agent: AgentDefinition, reach: Reach) -> None:
    """Raises `NodeError` (``not_allowed``) for a ``base_url`` that the allow-list does not have, ``execution_error``
    for one whose host has no address."""
    urls = dict.fromkeys(choice.base_url for choice in agent.choices if choice.base_url is not None)
    for url in urls:
        await _check(url, agent, reach)


async def _check(url: str, agent: AgentDefinition, reach: Reach) -> None:
    from workflow_runtime.invokers.tools.builtin.http_guard import AllowList, check_host  # few agents say where

    what = f"agent {agent.id!r} was published with the base_url {url}"
    if reach.http is None:
        raise reach.refusal("http", what)
    host = (urlsplit(url).hostname or "").lower()
    try:
        literal = check_host(host)
        addresses = [str(literal)] if literal is not None else await _resolved(host)
        AllowList(reach.http, reach).check(host, addresses)
    except NodeError as error:
        raise NodeError(error.type, f"{what}: {error.message}") from None


async def _resolved(host: str) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NodeError("execution_error", f"the host {host} cannot be resolved: {error}") from None
    return [str(address[0]) for _, _, _, _, address in found]
