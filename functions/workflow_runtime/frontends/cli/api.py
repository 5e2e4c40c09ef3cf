"""Calls to the HTTP API: those of the SDK, and what people ask besides; refusals become errors that `output` shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, TypeAlias, TypeVar

import httpx
import msgspec

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.recording import RecordedRun, Recording
from workflow_runtime.frontends.api.application import Application
from workflow_runtime.frontends.cli.dispatching import dispatching
from workflow_runtime.frontends.cli.errors import CliError, ExitCode
from workflow_runtime.frontends.cli.server import Server
from workflow_runtime.frontends.cli.writing import Reader, Writing
from workflow_runtime.frontends.client.calls import PAGE_ITEMS_MAX, definition_of, segment
from workflow_runtime.frontends.client.errors import (
    EngineError,
    InvalidDefinition,
    NotAuthorized,
    NotFound,
    Unavailable,
)
from workflow_runtime.frontends.client.remote import RemoteConnection
from workflow_runtime.frontends.client.sources import Source
from workflow_runtime.frontends.server.gateway import Gateway
from workflow_runtime.language.json_values import Json
from workflow_runtime.runtime.environment import EnvironmentSecrets
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.views.recordings import RecordedPage, assembled
from workflow_runtime.services.views.taken import TakenPage, joined
from workflow_runtime.storage.live import Part

FILE_URL = "http://localhost"  # of the API that answers from a database file: nothing listens there
WHERE = "--url or AWR_URL says where the API is"
ELSEWHERE_CODES = ("unexpected_answer", "redirected")
LOCAL_CODES = ("no_credentials", "no_region", "credentials_expired")  # found before anything was sent

Document: TypeAlias = dict[str, Json]
Answer = TypeVar("Answer")


class Page(msgspec.Struct, frozen=True):
    items: list[dict[str, Any]]
    next_cursor: str | None


class _JournalPage(msgspec.Struct, frozen=True):
    items: tuple[JournalEntry, ...]
    head: Recording | None
    runs: tuple[RecordedRun, ...]
    replaced: dict[int, dict[str, Json]]
    blobs: dict[str, Json]
    state: msgspec.Raw
    next_cursor: str | None


class Verdict(msgspec.Struct, frozen=True):
    """What the API's compiler says of a definition; ``findings`` as JSON."""

    valid: bool
    workflow_id: str | None
    findings: list[dict[str, Any]]


class Api(RemoteConnection):
    """The SDK's connection, with the calls that only commands make. Every method raises `EngineError`."""

    async def validate(self, source: Source) -> Verdict:
        return msgspec.convert(await self._call("POST", "/workflows/validate", **definition_of(source)), Verdict)

    async def put(self, workflow_id: str, source: Source) -> Document:
        """Publish as the latest version of this id: what it became, and the compiler's warnings."""
        answer = await self._call("PUT", f"/workflows/{segment(workflow_id)}", **definition_of(source))
        return msgspec.convert(answer, Document)

    async def workflow(self, workflow_id: str) -> Document:
        return msgspec.convert(await self._call("GET", f"/workflows/{segment(workflow_id)}"), Document)

    async def workflows(self, limit: int) -> tuple[list[Document], bool]:
        """Published workflows, the newest first; and whether there are more."""
        return await self._listed("/workflows", {}, limit)

    async def executions(
        self, workflow_id: str | None, status: str | None, since: str | None, limit: int
    ) -> tuple[list[Document], bool]:
        """Executions of a workflow, or of all, the newest first, started ``since`` (a time in ISO 8601); and whether
        there are more."""
        given = {"workflow": workflow_id, "status": status, "started_after": since}
        return await self._listed("/executions", {name: text for name, text in given.items() if text}, limit)

    async def usage(self, workflow_id: str | None, since: str | None, limit: int) -> AsyncIterator[Document]:
        """What models have used, page by page, of at most ``limit`` executions."""
        given = {"workflow": workflow_id, "started_after": since}
        kept = {name: text for name, text in given.items() if text}
        cursor: str | None = None
        while limit > 0:
            more = {"cursor": cursor} if cursor is not None else {}
            page = await self._call("GET", "/usage", params={**kept, **more, "limit": str(min(limit, PAGE_ITEMS_MAX))})
            document = msgspec.convert(page, Document)
            yield document
            limit -= int(document["executions"])
            cursor = document["next_cursor"]
            if cursor is None:
                return

    async def history(self, execution_id: str) -> AsyncIterator[Document]:
        """What happened until now, commit by commit."""
        async for page in self._pages(f"/executions/{segment(execution_id)}/history", {}, PAGE_ITEMS_MAX):
            if not page.items:  # the execution goes on, and so would we
                return
            for entry in page.items:
                yield entry

    async def declare_limits(self, limits: Document) -> list[Document]:
        """Declare the limiters that all workflows share, these and no others; all limiters there are then."""
        content, headers = msgspec.json.encode({"limits": limits}), {"content-type": "application/json"}
        found: list[Document] = (await self._call("PUT", "/limits", content=content, headers=headers))["items"]
        return found

    async def agents_if_known(self) -> list[Document]:
        """All agents; nothing where the API is of a version that has none published."""
        try:
            return await self.agents()
        except NotFound:
            return []

    async def frozen(self) -> list[Document]:
        """What is frozen; nothing where the API is of a version without freezes."""
        try:
            return await self.freezes()
        except NotFound:
            return []

    async def read_along(self, execution_id: str, reader: Reader, writing: Writing) -> None:
        """Take what agents have written since; nothing where the API is of a version that does not tell."""
        path = f"/executions/{segment(execution_id)}/stream"
        headers = {"last-event-id": reader.last} if reader.last else {}
        try:
            answer = await self._answer("GET", path, params={"format": "awr", "hold": "0"}, headers=headers)
        except NotFound:
            return
        for line in answer.text.splitlines():
            name, _, value = line.partition(": ")
            if name == "id":
                reader.last = value
            elif name == "data":
                event = msgspec.json.decode(value)
                if event["type"] == "wrote":
                    writing.wrote(event["path"], msgspec.convert(event["parts"], tuple[Part, ...]))
                elif event["type"] == "superseded":
                    writing.void(event["path"])

    async def definition(self, workflow_id: str) -> Source:
        """The definition of the latest version, as it was published."""
        answer = await self._answer("GET", f"/workflows/{segment(workflow_id)}", headers={"accept": "application/yaml"})
        return Source(answer.content)

    async def records(self, execution_id: str) -> AsyncIterator[Document]:
        """All that is stored of an ended execution, page by page: ``records_schema``, ``records``, ``next_cursor``."""
        path, cursor = f"/executions/{segment(execution_id)}/records", None
        while True:
            page = await self._call("GET", path, params={"cursor": cursor} if cursor is not None else {})
            yield dict(page)
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def put_records(self, execution_id: str, page: Document) -> bool:
        """Hand over a page. False: the execution is there already."""
        body = {name: page[name] for name in ("records_schema", "records")}
        content, headers = msgspec.json.encode(body), {"content-type": "application/json"}
        path = f"/executions/{segment(execution_id)}/records"
        return bool((await self._call("PUT", path, content=content, headers=headers))["taken"])

    async def every_execution(self, workflow: str | None = None) -> AsyncIterator[Document]:
        """Those of a workflow, or those in the list of all, which lacks express ones that began at once; the newest
        first, read as they are asked for."""
        async for page in self._pages("/executions", {"workflow": workflow} if workflow else {}, PAGE_ITEMS_MAX):
            for execution in page.items:
                yield execution

    async def trace(self, execution_id: str, *, content: bool = False) -> AsyncIterator[Document]:
        """The execution's trace in OTLP's JSON, in parts that a collector takes; ``content``: with what was said."""
        path = f"/executions/{segment(execution_id)}/trace"
        cursor: str | None = None
        while True:
            given = {"content": "true"} if content else {}
            answer = await self._answer("GET", path, params={**given, **({"cursor": cursor} if cursor else {})})
            page = answer.json()
            cursor = page.pop("next_cursor")
            yield page
            if cursor is None:
                return

    async def recording(self, execution_id: str) -> Recording:
        """The execution's journal until now, with what its decisions read."""
        path = f"/executions/{segment(execution_id)}/journal"
        pages: list[RecordedPage] = []
        cursor: str | None = None
        while True:
            answer = await self._answer("GET", path, params={"cursor": cursor} if cursor is not None else {})
            page = msgspec.json.decode(answer.content, type=_JournalPage)
            pages.append(RecordedPage(page.head, page.items, page.runs, page.replaced, page.blobs, page.state))
            cursor = page.next_cursor
            if cursor is None:
                return assembled(pages)

    async def taken(self, execution_id: str) -> TakenPage:
        """What its nodes and the steps of its agents came to until now."""
        path = f"/executions/{segment(execution_id)}/steps"
        pages: list[TakenPage] = []
        while not pages or pages[-1].next is not None:
            cursor = pages[-1].next if pages else None
            answer = await self._answer("GET", path, params={"cursor": cursor} if cursor is not None else {})
            pages.append(msgspec.json.decode(answer.content, type=TakenPage))
        return joined(pages)

    async def drawing(self, execution_id: str, format: str) -> str:
        """The graph that an execution runs, with how far it is."""
        execution = await self._call("GET", f"/executions/{segment(execution_id)}", params={"include": "output"})
        workflow_id = msgspec.convert(execution, Document)["workflow_id"]
        given = {"execution": execution_id, "format": format}
        return (await self._answer("GET", f"/workflows/{segment(workflow_id)}/graph", params=given)).text

    async def log_lines(self, execution_id: str, start: int, end: int) -> list[dict[str, str]]:
        """What `awr dev` logged about an execution between two times (epoch ms)."""
        given = {"execution_id": execution_id, "start": str(start), "end": str(end)}
        try:
            answer = await self._call("GET", "/dev/logs", params=given)
        except NotFound:
            message = (
                "a deployed runtime logs to CloudWatch: --stack says which stack's logs to read; "
                "awr serve logs to stderr, which its supervisor keeps (journalctl -u awr)"
            )
            raise EngineError(message, "no_logs") from None
        return msgspec.convert(answer["lines"], list[dict[str, str]])

    async def _listed(self, path: str, parameters: dict[str, str], limit: int) -> tuple[list[Document], bool]:
        found: list[Document] = []
        async for page in self._pages(path, parameters, min(limit, PAGE_ITEMS_MAX)):
            found += page.items
            if len(found) >= limit:
                return found[:limit], len(found) > limit or page.next_cursor is not None
        return found, False

    async def _pages(self, path: str, parameters: dict[str, str], size: int) -> AsyncIterator[Page]:
        cursor: str | None = None
        while True:
            given = {**parameters, "limit": str(size), **({"cursor": cursor} if cursor is not None else {})}
            page = msgspec.convert(await self._call("GET", path, params=given), Page)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return


@asynccontextmanager
async def api(server: Server, *, changes: bool = False) -> AsyncIterator[Api]:
    """An open connection; what it refuses inside is raised as `CliError`. ``changes``: something will be asked of an
    execution, which in a file takes effect at once."""
    if server.db is not None:
        with open_backend(server.db) as backend:
            runtime = Runtime(backend.ports, dict, secrets=EnvironmentSecrets())
            async with AsyncExitStack() as stack:
                if changes:
                    await stack.enter_async_context(dispatching(backend, runtime))
                connection = Api(FILE_URL, transport=_answers_from(runtime))
                yield await stack.enter_async_context(_connected(connection, server))
        return
    server.check()
    with refusals(server):
        await _knock(server)
    connection = Api(
        server.url,
        headers=server.headers,
        sign=None if server.token is None else False,
        profile=server.profile,
        region=server.region,
    )
    async with _connected(connection, server):
        yield connection


def ask(server: Server, call: Callable[[Api], Awaitable[Answer]], *, changes: bool = False) -> Answer:
    """What one call is answered, over a connection of its own; ``changes`` as in `api`. Raises `CliError`."""

    async def answered() -> Answer:
        async with api(server, changes=changes) as connection:
            return await call(connection)

    return asyncio.run(answered())


@asynccontextmanager
async def _connected(connection: Api, server: Server) -> AsyncIterator[Api]:
    with refusals(server):
        await connection.open()
        try:
            yield connection
        finally:
            await connection.close()


def _answers_from(runtime: Runtime) -> httpx.ASGITransport:
    """The API itself, asked without a network: what it says of a file is what a server would say."""
    application = Application(runtime)
    context = LocalContext(TOPOLOGY.function("api"))
    return httpx.ASGITransport(Gateway(lambda: application.answer, context, lambda *_: None))


async def _knock(server: Server) -> None:
    """See whether anybody listens on this machine: a server that is not started is not worth repeated requests."""
    if server.loopback is None:
        return
    try:
        _, writer = await asyncio.open_connection(*server.loopback)
    except OSError as error:
        raise Unavailable(f"nothing listens at {server.url}", "unreachable") from error
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@contextmanager
def refusals(server: Server) -> Iterator[None]:
    """Errors of the SDK as errors of the command line."""
    try:
        yield
    except InvalidDefinition as error:
        raise CliError(error.code, error.message, findings=error.findings) from error
    except Unavailable as error:
        hint = f"is `awr dev` running? {WHERE}" if server.loopback is not None else WHERE
        raise CliError(error.code, error.message, hint, exit_code=ExitCode.UNREACHABLE) from error
    except NotAuthorized as error:
        raise CliError(error.code, error.message, _hint(server, error)) from error
    except EngineError as error:
        hint = WHERE if error.code in ELSEWHERE_CODES else ""
        raise CliError(error.code, error.message, hint) from error
    except msgspec.DecodeError as error:
        message = f"what answers at {server.url} is not this API: {error}"
        raise CliError("unexpected_answer", message, WHERE) from error


def _hint(server: Server, error: NotAuthorized) -> str:
    """What may help against a refusal. API Gateway tells neither why it refuses a token nor what of a signature."""
    if error.code == "forbidden":
        return ""  # the API itself says why
    if error.code in LOCAL_CODES:
        return "--profile and AWS_PROFILE choose AWS credentials, `aws sts get-caller-identity` tests them"
    if server.token is not None:
        return "the token was refused: is it expired, or for another API (issuer, audience, scopes)?"
    if server.signs:
        return (
            "the signed request was refused: are the credentials expired (`aws sts get-caller-identity`), of another "
            "account, or without execute-api:Invoke? --profile chooses others, --region what to sign for"
        )
    return "--token (or AWR_TOKEN) is sent as a bearer token; --profile or --region has requests signed"
