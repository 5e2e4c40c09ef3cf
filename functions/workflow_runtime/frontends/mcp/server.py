"""The methods of the MCP server."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import UNSET

from workflow_runtime.errors import ConflictError, RequestError, RetryableError
from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.http import decode_cursor, encode_cursor
from workflow_runtime.frontends.api.parameters import EXECUTION_ID, START_KEY_CHARS_MAX
from workflow_runtime.frontends.api.problems import Problem
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.frontends.api.waiting import wait_until
from workflow_runtime.frontends.mcp import protocol, tasks, tools
from workflow_runtime.frontends.mcp.protocol import Call, Fault
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.schemas import violation
from workflow_runtime.plan.exposure import EXECUTION_TOOL
from workflow_runtime.services.views.executions import Execution
from workflow_runtime.storage.records import Header

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

SERVER = {"name": "agent-workflow-runtime", "title": "Agent Workflow Runtime", "version": "1"}
INSTRUCTIONS = (
    "Each tool is a workflow. One that takes longer answers with the id of its execution; "
    f"`{EXECUTION_TOOL}` says what became of it."
)
TASK_AFTER_SECONDS = 5  # of waiting: clients that take tasks poll for themselves
TOOLS_PER_PAGE = 100
WAITS_NAMED_MAX = 5
CACHED_MS = 30_000  # how long clients may keep what is said of the server and its tools
CACHEABLE: dict[str, Any] = {"ttlMs": CACHED_MS, "cacheScope": "private"}
ANY_ORIGIN = "*"

logger = logging.getLogger(__name__)

Method = Callable[["McpServer", Call, Request], Awaitable[dict[str, Any]]]


class McpServer:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def answer(self, request: Request) -> Answer:
        """A call of the Model Context Protocol: JSON-RPC in, JSON-RPC out; no session, no stream. Revision 2026-07-28
        with its tasks extension, and those with a handshake up to 2025-11-25.
        """
        call: Call | None = None
        try:
            if not self._takes_pages_of(request):
                refused = Fault(protocol.INVALID_REQUEST, "web pages of this origin may not call")
                return protocol.fault_answer(refused, None, 403)
            call = protocol.parsed(request)
            if call.id is None:
                return Answer(202)  # no notification asks for anything
            protocol.check_envelope(call, request)
            method = (STATELESS_METHODS if call.stateless else HANDSHAKE_METHODS).get(call.method)
            if method is None:
                raise Fault(protocol.METHOD_NOT_FOUND, f"there is no method {call.method[:100]!r}")
            result = await method(self, call, request)
            return protocol.result_answer(call, {**result, "_meta": {f"{protocol.META_PREFIX}serverInfo": SERVER}})
        except Exception as error:
            return protocol.fault_answer(_fault_of(error), call)

    async def discover(self, call: Call, request: Request) -> dict[str, Any]:  # noqa: ARG002
        capabilities: dict[str, Any] = {"tools": {}, "extensions": {protocol.TASKS: {}}}
        about: dict[str, Any] = {"supportedVersions": list(protocol.SUPPORTED), "capabilities": capabilities}
        return {**about, "instructions": INSTRUCTIONS, **CACHEABLE}

    async def initialize(self, call: Call, request: Request) -> dict[str, Any]:  # noqa: ARG002
        wanted = call.params.get("protocolVersion")
        version = wanted if wanted in protocol.WITH_HANDSHAKE else protocol.WITH_HANDSHAKE[0]
        about: dict[str, Any] = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": SERVER}
        return {**about, "instructions": INSTRUCTIONS}

    async def ping(self, call: Call, request: Request) -> dict[str, Any]:  # noqa: ARG002
        return {}

    async def list_tools(self, call: Call, request: Request) -> dict[str, Any]:  # noqa: ARG002
        cursor = call.params.get("cursor")
        if cursor is not None and not isinstance(cursor, str):
            raise Fault(protocol.INVALID_PARAMS, "params.cursor must be a text")
        after = decode_cursor(("tools",), cursor)
        exposed = self._runtime.stores.exposed
        found = await self._runtime.ports.offload(exposed.list, TOOLS_PER_PAGE + 1, after or "")
        documents = [tools.tool_document(one, with_output=call.takes_tasks) for one in found[:TOOLS_PER_PAGE]]
        listed = documents if after is not None else [tools.EXECUTION_TOOL_DOCUMENT, *documents]
        more = {"nextCursor": encode_cursor(("tools",), found[-2].tool)} if len(found) > TOOLS_PER_PAGE else {}
        return {"tools": listed, **more, **(CACHEABLE if call.stateless else {})}

    async def call_tool(self, call: Call, request: Request) -> dict[str, Any]:
        name, arguments, offload = call.text("name"), call.object("arguments"), self._runtime.ports.offload
        if name == EXECUTION_TOOL:
            return await self._get_execution(call, arguments, request.caller)
        plan = await offload(self._runtime.catalog.exposed, name)
        if plan is None:
            raise Fault(protocol.INVALID_PARAMS, f"Unknown tool: {name[:100]}")
        answered: set[str] = set()
        if "requestState" in call.params:
            execution_id = call.text("requestState")
            if (await self._header(execution_id)).workflow_id != plan.workflow_id:
                raise Fault(protocol.INVALID_PARAMS, "params.requestState is not one of this tool")
            answered = await self._answer_asked(execution_id, call.object("inputResponses"), request.caller)
        else:
            key = request.headers.get("idempotency-key")
            if key is not None and not 0 < len(key) <= START_KEY_CHARS_MAX:
                raise Fault(protocol.INVALID_PARAMS, f"an idempotency key has 1 to {START_KEY_CHARS_MAX} characters")
            try:
                execution_id = await offload(self._runtime.starter.start, plan.workflow_id, arguments, start_key=key)
            except RequestError as error:
                return tools.failure(f"{error.code}: {error.message}")
        seconds = TASK_AFTER_SECONDS if call.takes_tasks else tools.WAIT_SECONDS_MAX
        await self._rest(execution_id, seconds, answered, request.caller)
        return await self._outcome(call, execution_id, request.caller)

    async def get_task(self, call: Call, request: Request) -> dict[str, Any]:
        header = await self._task(call)
        return await self._task_document(header.execution_id, request.caller)

    async def update_task(self, call: Call, request: Request) -> dict[str, Any]:
        header = await self._task(call)
        await self._answer_asked(header.execution_id, call.object("inputResponses"), request.caller)
        return {}

    async def cancel_task(self, call: Call, request: Request) -> dict[str, Any]:
        header, control = await self._task(call), self._runtime.control
        try:
            await self._runtime.ports.offload(
                control.ask, "cancel", header.execution_id, "tasks/cancel", None, by=request.caller, said={}
            )
        except RequestError as error:
            if error.code != "refused":  # it has ended: there is nothing to cancel, and nothing wrong
                raise
        return {}

    async def _task(self, call: Call) -> Header:
        """The execution that a method of the tasks extension is about. Raises `Fault`."""
        if not call.takes_tasks:
            needed: Json = {"requiredCapabilities": {"extensions": {protocol.TASKS: {}}}}
            raise Fault(protocol.MISSING_CAPABILITY, "Missing required client capability", needed)
        return await self._header(call.text("taskId"))

    async def _header(self, execution_id: str) -> Header:
        """An execution of a workflow that is exposed: of others, this server knows nothing. Raises `Fault`."""
        unknown = Fault(protocol.INVALID_PARAMS, f"there is no task or execution {execution_id[:100]!r}")
        documents, offload = self._runtime.documents, self._runtime.ports.offload
        if EXECUTION_ID.fullmatch(execution_id) is None:
            raise unknown
        try:
            header = await offload(documents.header, execution_id)
        except RequestError:
            raise unknown from None
        if (await offload(documents.plan, header.plan_hash)).exposed is None:
            raise unknown
        return header

    async def _get_execution(self, call: Call, arguments: dict[str, Any], caller: str) -> dict[str, Any]:
        problem = violation(tools.EXECUTION_ARGUMENTS, arguments)
        if problem:
            return tools.failure(f"invalid_input: {problem}")
        try:
            header = await self._header(arguments["execution_id"])
        except Fault as fault:
            return tools.failure(f"not_found: {fault.message}")
        await self._rest(header.execution_id, arguments.get("wait_seconds", 0), set(), caller)
        return await self._outcome(call, header.execution_id, caller, as_task=False)

    async def _rest(self, execution_id: str, seconds: float, answered: set[str], caller: str) -> None:
        """Wait until it has ended, or only people or events move it; not by ``answered``, which are on their way."""
        documents, offload = self._runtime.documents, self._runtime.ports.offload
        end = self._runtime.ports.clock.now() + int(seconds * 1000)

        async def rests() -> bool:
            if answered and answered & (await self._asked(execution_id, caller)).keys():
                return False
            return await offload(documents.rests, execution_id, end)

        await wait_until(self._runtime, seconds, rests)

    async def _outcome(self, call: Call, execution_id: str, caller: str, *, as_task: bool = True) -> dict[str, Any]:
        """The result; or a task, questions or a note, as the client takes them."""
        execution = await self._execution(execution_id)
        if execution.header.status.terminal:
            return tools.ended_result(execution)
        if call.takes_tasks and as_task:
            document = await self._task_document(execution_id, caller, execution)
            seed = {key: value for key, value in document.items() if key not in ("inputRequests", "result")}
            return {**seed, "resultType": "task"}
        if call.stateless and call.takes_forms and as_task:
            asked = await self._asked(execution_id, caller)
            if asked:
                return {"resultType": "input_required", "inputRequests": asked, "requestState": execution_id}
        waits = await self._waits(execution_id)
        note = f"Execution {execution_id} has not ended{f': {waits}' if waits else ''}. Call `{EXECUTION_TOOL}` later."
        return tools.text_result(note)

    async def _execution(self, execution_id: str) -> Execution:
        return await self._runtime.ports.offload(self._runtime.documents.execution, execution_id, {"output"})

    async def _task_document(
        self, execution_id: str, caller: str, execution: Execution | None = None
    ) -> dict[str, Any]:
        execution = execution or await self._execution(execution_id)
        if execution.header.status.terminal:
            return tasks.task_document(execution, {}, "", 0)
        stored = await self._runtime.ports.offload(self._runtime.stores.executions.load, execution_id)
        updated_at = stored.state.now if stored is not None else execution.header.started_at
        asked, waits = await self._asked(execution_id, caller), await self._waits(execution_id)
        return tasks.task_document(execution, asked, waits, updated_at)

    async def _waits(self, execution_id: str) -> str:
        """What it waits for, in words."""
        why = await self._runtime.ports.offload(self._runtime.explanations.why, execution_id, WAITS_NAMED_MAX)
        return "; ".join(
            f"{waiting.path}: {waiting.moves}".removeprefix(": ") for waiting in why.waits if waiting.moves
        )

    async def _asked(self, execution_id: str, caller: str) -> dict[str, Any]:
        """The elicitations for those of its approvals that the caller can answer, by the approvals' ids."""
        views, offload = self._runtime.approval_views, self._runtime.ports.offload
        open = await offload(views.of_execution, execution_id)
        mine = [
            approval["id"]
            for approval in open
            if (not approval["assignees"] or caller in approval["assignees"])
            and all((answer["by"] or "") != caller for answer in approval["answers"])
        ]
        return {id: tasks.elicitation(await offload(views.get, id)) for id in mine}

    async def _answer_asked(self, execution_id: str, responses: dict[str, Any], caller: str) -> set[str]:
        """Give the answers to those approvals that are asked; which they were. Raises `Fault`."""
        asked = await self._asked(execution_id, caller)
        answered = set()
        for id, response in responses.items():
            action = response.get("action") if isinstance(response, dict) else None
            if action not in ("accept", "decline", "cancel"):
                raise Fault(protocol.INVALID_PARAMS, f"the response to {id[:100]!r} has no action that is known")
            if id not in asked or action == "cancel":
                continue
            content = response.get("content")
            data = content if action == "accept" and content else UNSET
            try:
                await self._runtime.ports.offload(
                    self._runtime.approvals.answer, id, action == "accept", by=caller, asker=caller, data=data
                )
            except RequestError as error:
                raise Fault(protocol.INVALID_PARAMS, f"{error.code}: {error.message}") from None
            answered.add(id)
        return answered

    def _takes_pages_of(self, request: Request) -> bool:
        """Web pages may call if they are of the same host, or of origins that the deployment lists."""
        origin = request.headers.get("origin")
        if origin is None or urlsplit(origin).netloc == request.headers.get("host"):
            return True
        listed = self._runtime.callers.web_origins
        return ANY_ORIGIN in listed or origin in listed

    async def resource_metadata(self, request: Request) -> Answer:
        """Who issues the tokens that the MCP server takes (RFC 9728); 404 where requests are signed instead."""
        callers = self._runtime.callers
        if not callers.issuer:
            raise Problem("not_found", "callers of this API sign their requests: no server issues tokens for it")
        resource = f"https://{request.headers.get('host', '')}{request.prefix}/mcp"
        document: dict[str, Any] = {
            "resource": resource,
            "authorization_servers": [callers.issuer],
            "bearer_methods_supported": ["header"],
        }
        if callers.scopes:
            document["scopes_supported"] = list(callers.scopes)
        return json_answer(document)


_TOOL_METHODS: dict[str, Method] = {"tools/list": McpServer.list_tools, "tools/call": McpServer.call_tool}
STATELESS_METHODS: dict[str, Method] = {
    "server/discover": McpServer.discover,
    **_TOOL_METHODS,
    "tasks/get": McpServer.get_task,
    "tasks/update": McpServer.update_task,
    "tasks/cancel": McpServer.cancel_task,
}
HANDSHAKE_METHODS: dict[str, Method] = {
    "initialize": McpServer.initialize,
    "ping": McpServer.ping,
    **_TOOL_METHODS,
}


def _fault_of(error: Exception) -> Fault:
    match error:
        case Fault():
            return error
        case RequestError(code=code, message=message):
            return Fault(protocol.INVALID_PARAMS, f"{code}: {message}")
        case Problem(detail=detail):
            return Fault(protocol.INVALID_PARAMS, detail)
        case RetryableError() | ConflictError():
            return Fault(protocol.INTERNAL_ERROR, "the service cannot answer at the moment: try again")
    logger.error("a call failed", exc_info=error)
    return Fault(protocol.INTERNAL_ERROR, "this is a fault of the service; its log has the reason")
