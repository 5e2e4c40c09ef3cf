"""The command invoke: one event for one Lambda function, here, as Lambda would hand it over."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
from collections import Counter
from contextlib import redirect_stdout
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from workflow_runtime.deployment.topology import TOPOLOGY, Function
from workflow_runtime.frontends.cli.files import INPUT_BYTES_MAX, definitions_directory, workflow_files
from workflow_runtime.frontends.cli.logs import TracedInvoker, log_to_stderr
from workflow_runtime.frontends.cli.output import CliError, ExitCode, Output, usage_error


class InvokeOptions(msgspec.Struct, frozen=True):
    """The arguments of ``awr invoke``."""

    function: str
    event: Path
    definitions: Path | None = None
    mocks: Path | None = None
    db: Path | None = None
    verbose: bool = False


class Invoked(msgspec.Struct, frozen=True):
    """What a function answered, and what it sent meanwhile: messages by queue, events on the bus by detail-type."""

    answer: Any
    sent: dict[str, int]
    published: dict[str, int]


def invoke(out: Output, options: InvokeOptions) -> ExitCode:
    """Carry the command out; raises what `output.cli_error` knows."""
    function = _function(options.function)
    event = _event(options.event)
    _check_event(function, event, options.event)
    with log_to_stderr(options.verbose), redirect_stdout(sys.stderr):
        invoked = _invoke(function, event, options)
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


def _function(name: str) -> Function:
    names = [function.name for function in TOPOLOGY.functions]
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"{near[0]}, perhaps? " if near else ""
        raise usage_error(f"there is no function {name!r}", f"{hint}There are: {', '.join(names)}")
    return TOPOLOGY.function(name)


def _event(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        data = file.read(INPUT_BYTES_MAX)
    try:
        event = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CliError("invalid_event", f"{path} is no JSON: {error}") from None
    if not isinstance(event, dict):
        raise CliError("invalid_event", f"{path} is no event: an event is a JSON object")
    return event


def _check_event(function: Function, event: dict[str, Any], path: Path) -> None:
    """Refuse an event of a kind, or from a queue, that never comes to this function."""
    if function.http:
        if not isinstance(event.get("requestContext"), dict):
            raise CliError("invalid_event", f"{path} is no request of an HTTP API, which is what {function.name} takes")
        return
    queues = [source.queue for source in function.sources]
    takes = f"what {function.name} takes are messages of {' or '.join(queues)}"
    records = event.get("Records")
    if not isinstance(records, list) or not records:
        raise CliError("invalid_event", f"{path} is no batch of messages: {takes}")
    for record in records:
        arn = record.get("eventSourceARN") if isinstance(record, dict) else None
        if not isinstance(arn, str) or not arn.endswith(tuple(queues)):
            raise CliError("invalid_event", f"{path} is from {arn!r}: {takes}", "eventSourceARN ends in a queue's name")


def _invoke(function: Function, event: dict[str, Any], options: InvokeOptions) -> Invoked:
    from workflow_runtime.backends.embedded.backend import open_backend
    from workflow_runtime.backends.embedded.pump import LocalContext
    from workflow_runtime.invokers.mocks import Mocks
    from workflow_runtime.runtime.in_process import LocalRuntime

    mocks = Mocks.load(options.mocks) if options.mocks is not None else None
    definitions = options.definitions or definitions_directory(None)
    sent: Counter[str] = Counter()
    with open_backend(options.db) as backend:
        runtime = LocalRuntime(
            backend, definitions, mocks, environ=os.environ, wrap=TracedInvoker if options.verbose else None
        ).services
        if definitions is not None and (definitions / "workflows").is_dir():
            for path in workflow_files([definitions / "workflows"]):
                runtime.catalog.publish(path.read_bytes(), str(path), scheduled=False)
        before = len(backend.bus_events())
        backend.on_send = lambda queue: sent.update([queue])
        create = importlib.import_module(function.handler.rpartition(".")[0]).create
        answer = create(runtime, function)(event, LocalContext(function))
        if inspect.isawaitable(answer):
            answer = asyncio.run(_awaited(answer))
        published = Counter(str(each["detail-type"]) for each in backend.bus_events()[before:])
    return Invoked(answer, dict(sent), dict(published))


async def _awaited(answer: Any) -> Any:
    return await answer
