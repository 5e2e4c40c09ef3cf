"""`awr invoke`: one event for one Lambda function, here, as Lambda would hand it over."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections import Counter
from contextlib import redirect_stdout
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import WHOLE_TOPOLOGY, Function
from workflow_runtime.findings import Finding
from workflow_runtime.frontends.cli.errors import CliError, ExitCode, usage_error
from workflow_runtime.frontends.cli.files import INPUT_BYTES_MAX, definitions_directory, workflow_files
from workflow_runtime.frontends.cli.local import WORKFLOWS_SEARCHED_MAX, local_runtime
from workflow_runtime.frontends.cli.options import AsJson, Definitions, MocksFile, NewDatabase, Verbose, existing
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.stderr_log import log_to_stderr
from workflow_runtime.frontends.cli.typed_json import HINT as DUPLICATE_HINT
from workflow_runtime.frontends.cli.typed_json import DuplicateKey, read_typed
from workflow_runtime.frontends.client.mock_targets import unknown_mocks
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.runtime.making import handler_of
from workflow_runtime.runtime.services import Runtime

FunctionName = Annotated[str, typer.Argument(metavar="FUNCTION", help="One of the Lambda functions, such as dispatch.")]
EventFile = Annotated[Path, typer.Argument(**existing("EVENT", "What it gets, as JSON; events/ has samples."))]


def invoke(
    function: FunctionName,
    event: EventFile,
    definitions: Definitions = None,
    mocks: MocksFile = None,
    db: NewDatabase = None,
    json: AsJson = False,
    verbose: Verbose = False,
) -> int:
    """Call one Lambda function on this machine with an event from a file, and print its answer.

    \b
      awr invoke api events/api/create_workflow.json --db try.db
      awr invoke api events/api/start_execution.json --db try.db
      awr invoke dispatch events/dispatch/poked.json --db try.db

    The workflows of the definitions directory are published before. What the function sends stays in its queue,
    in --db for `awr dev`, which delivers it.

    Exit codes: 0 it answered, 1 the event is not for this function, 2 wrong usage, 3 it wants messages again.
    """
    out = Output(json=json)
    options = InvokeOptions(_function(function), event, definitions, mocks, db, verbose)
    payload = _event(event)
    _check_event(options.function, payload, event)
    with log_to_stderr(verbose), redirect_stdout(sys.stderr):
        invoked = _invoke(payload, options)
    for queue, count in invoked.sent.items():
        out.note(f"sent to {queue}: {count}")
    for kind, count in invoked.published.items():
        out.note(f"published {kind}: {count}")
    if out.json:
        out.document(invoked)
    else:
        out.text(msgspec.json.format(msgspec.json.encode(invoked.answer), indent=2).decode() + "\n")
    failed = isinstance(invoked.answer, dict) and bool(invoked.answer.get("batchItemFailures"))
    return ExitCode.FAILED if failed else ExitCode.OK


class InvokeOptions(msgspec.Struct, frozen=True):
    """What is called, and with what around it."""

    function: Function
    event: Path
    definitions: Path | None
    mocks: Path | None
    db: Path | None
    verbose: bool


class Invoked(msgspec.Struct, frozen=True):
    """What a function answered, and what it sent meanwhile: messages by queue, events on the bus by detail-type."""

    answer: Any
    sent: dict[str, int]
    published: dict[str, int]


def _function(name: str) -> Function:
    names = [function.name for function in WHOLE_TOPOLOGY.functions]
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"{near[0]}, perhaps? " if near else ""
        raise usage_error(f"there is no function {name!r}", f"{hint}There are: {', '.join(names)}")
    return WHOLE_TOPOLOGY.function(name)


def _event(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        data = file.read(INPUT_BYTES_MAX)
    try:
        event = read_typed(data)
    except DuplicateKey as error:
        raise CliError(
            "invalid_event", f"the key `{error}` stands twice in the event: {path}", DUPLICATE_HINT
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CliError("invalid_event", f"{path} is not valid JSON: {error}") from None
    if not isinstance(event, dict):
        raise CliError("invalid_event", f"{path} is not an event: an event is a JSON object")
    return event


def _check_event(function: Function, event: dict[str, Any], path: Path) -> None:
    """Refuse an event of a kind, or from a queue, that never comes to this function."""
    if function.http:
        if not isinstance(event.get("requestContext"), dict):
            raise CliError(
                "invalid_event", f"{path} is not a request of an HTTP API, which is what {function.name} takes"
            )
        return
    queues = [source.queue for source in function.sources]
    takes = f"what {function.name} takes are messages of {' or '.join(queues)}"
    records = event.get("Records")
    if not isinstance(records, list) or not records:
        raise CliError("invalid_event", f"{path} is not a batch of messages: {takes}")
    for record in records:
        arn = record.get("eventSourceARN") if isinstance(record, dict) else None
        if not isinstance(arn, str) or not arn.endswith(tuple(queues)):
            raise CliError("invalid_event", f"{path} is from {arn!r}: {takes}", "eventSourceARN ends in a queue's name")


def _invoke(event: dict[str, Any], options: InvokeOptions) -> Invoked:
    function = options.function
    definitions = options.definitions or definitions_directory(None)
    sent: Counter[str] = Counter()
    backend = open_backend(options.db)
    with local_runtime(backend, definitions, options.mocks, verbose=options.verbose) as local:
        runtime = local.services
        if definitions is not None and (definitions / "workflows").is_dir():
            for path in workflow_files([definitions / "workflows"]):
                runtime.catalog.publish(path.read_bytes(), str(path), scheduled=False)
        if options.mocks is not None and (unknown := _unknown_mocks(runtime, options.mocks, definitions)):
            raise CliError("invalid_mocks", "nothing was called: the mocks are not valid", findings=unknown)
        before = len(backend.bus_events())
        backend.on_send = lambda queue: sent.update([queue])
        answer = handler_of(function, runtime)(event, LocalContext(function))
        if inspect.isawaitable(answer):
            answer = asyncio.run(_awaited(answer))
        published = Counter(str(each["detail-type"]) for each in backend.bus_events()[before:])
    return Invoked(answer, dict(sent), dict(published))


def _unknown_mocks(runtime: Runtime, file: Path, definitions: Path | None) -> list[Finding]:
    """The mocks of what neither is registered nor is called by a workflow of the definitions or of the database."""
    published = runtime.stores.workflows.list(WORKFLOWS_SEARCHED_MAX, None)
    latest = [runtime.stores.workflows.latest(pointer.workflow_id) for pointer in published]
    plans = [runtime.catalog.plan(version) for version in latest if version is not None]
    return unknown_mocks(Mocks.load(file), runtime.catalog.catalogue, plans, definitions)


async def _awaited(answer: Any) -> Any:
    return await answer
