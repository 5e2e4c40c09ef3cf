"""The routes, once, as data: what `application` serves and `openapi` writes down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workflow_runtime.frontends.api import models, operator_models
from workflow_runtime.frontends.api.agents import AGENT_BODY, agent_routes
from workflow_runtime.frontends.api.answers import JSON_TYPE, Answer, json_answer
from workflow_runtime.frontends.api.bodies import FORM_TYPE, JSON_TYPES, YAML_TYPES
from workflow_runtime.frontends.api.bulk import Bulks
from workflow_runtime.frontends.api.control import Controls
from workflow_runtime.frontends.api.dead_letters import dead_letter_routes
from workflow_runtime.frontends.api.events import Events
from workflow_runtime.frontends.api.executions import Executions
from workflow_runtime.frontends.api.freezes import Switches
from workflow_runtime.frontends.api.graphs import TYPES, Graphs
from workflow_runtime.frontends.api.http import IF_MATCH, IF_NONE_MATCH, TAG_HEADER
from workflow_runtime.frontends.api.journal import Journals
from workflow_runtime.frontends.api.limits import limit_routes
from workflow_runtime.frontends.api.mcp_routes import CALL_BODY, mcp_routes
from workflow_runtime.frontends.api.metrics import metrics_route
from workflow_runtime.frontends.api.moving import moving_routes
from workflow_runtime.frontends.api.people_routes import people_routes
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.frontends.api.route import LOCATION_HEADER, RANGE_HEADER, Reply, Route, Scope, json_reply
from workflow_runtime.frontends.api.sessions import session_routes
from workflow_runtime.frontends.api.streams import EVENT_STREAM, EventStreams
from workflow_runtime.frontends.api.workflows import Workflows
from workflow_runtime.services.control.bulk import MANY
from workflow_runtime.services.control.operations import OPERATIONS

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

WORKFLOW = "/workflows/<workflow_id>"
SOURCE_BODY = "a workflow definition"
START_BODY = "the input"
EVENT_BODY = "an event"
CONTROL_BODY = "a reason"
BULK_BODY = "a selection"
HOOK_BODY = "what a webhook is told"


def routes(runtime: Runtime) -> tuple[Route, ...]:
    workflows, executions, events = Workflows(runtime), Executions(runtime), Events(runtime)
    return (
        *_publishing_routes(workflows),
        *_workflow_routes(workflows, Graphs(runtime)),
        *_execution_routes(executions),
        _usage_route(executions),
        *_journal_routes(Journals(runtime), EventStreams(runtime)),
        _event_route(events),
        *_control_routes(Controls(runtime)),
        *_bulk_routes(Bulks(runtime)),
        *people_routes(runtime),
        *_freeze_routes(Switches(runtime)),
        *agent_routes(runtime),
        *limit_routes(runtime),
        *session_routes(runtime),
        *moving_routes(runtime),
        *dead_letter_routes(runtime),
        *_hook_routes(events),
        *mcp_routes(runtime),
        _health(runtime),
        metrics_route(runtime),
    )


def _publishing_routes(workflows: Workflows) -> tuple[Route, ...]:
    published = {JSON_TYPE: models.Published}
    created = Reply(201, "Published as a new workflow", published, TAG_HEADER | LOCATION_HEADER)
    return (
        Route(
            "POST",
            "/workflows",
            workflows.create,
            "createWorkflow",
            (created, Reply(200, "Already published with the same plan", published, TAG_HEADER)),
            (400, 409, 413, 415, 422),
            SOURCE_BODY,
        ),
        Route(
            "POST",
            "/workflows/validate",
            workflows.validate,
            "validateWorkflow",
            (json_reply(models.Validation, "What the compiler says"),),
            (400, 413, 415, 422),
            SOURCE_BODY,
            scope=Scope.READ,
        ),
        Route(
            "PUT",
            WORKFLOW,
            workflows.replace,
            "putWorkflow",
            (created, Reply(200, "Published as the next version, or the same plan again", published, TAG_HEADER)),
            (400, 409, 412, 413, 415, 422),
            SOURCE_BODY,
            (IF_MATCH, IF_NONE_MATCH),
        ),
        Route(
            "DELETE",
            WORKFLOW,
            workflows.remove,
            "deleteWorkflow",
            (Reply(204, "Removed; executions go on and stay readable"),),
            (404, 409, 412, 422),
            conditions=(IF_MATCH,),
        ),
    )


def _workflow_routes(workflows: Workflows, graphs: Graphs) -> tuple[Route, ...]:
    return (
        Route(
            "GET",
            "/workflows",
            workflows.listing,
            "listWorkflows",
            (json_reply(models.WorkflowPage, "Workflows"),),
            (404, 422),
        ),
        Route(
            "GET",
            WORKFLOW,
            workflows.get,
            "getWorkflow",
            (
                Reply(200, "The workflow", {JSON_TYPE: models.Workflow, YAML_TYPES[0]: None}, TAG_HEADER),
                Reply(304, "The caller has this version", headers=TAG_HEADER),
            ),
            (404, 422),
            conditions=(IF_NONE_MATCH,),
        ),
        Route(
            "GET",
            f"{WORKFLOW}/versions",
            workflows.versions,
            "listVersions",
            (json_reply(models.VersionPage, "Versions"),),
            (404, 422),
        ),
        Route(
            "GET",
            f"{WORKFLOW}/graph",
            graphs.draw,
            "drawWorkflow",
            (Reply(200, "The graph", {**dict.fromkeys(TYPES.values()), JSON_TYPE: models.Graph}),),
            (404, 422),
        ),
    )


def _execution_routes(executions: Executions) -> tuple[Route, ...]:
    one = "/executions/<execution_id>"
    part = Reply(206, "The slice", {"application/octet-stream": None}, RANGE_HEADER)
    return (
        Route(
            "POST",
            f"{WORKFLOW}/execute",
            executions.start,
            "startExecution",
            (
                Reply(202, "Started", {JSON_TYPE: models.ExecutionSummary}, LOCATION_HEADER),
                json_reply(models.Execution, "The execution ended, or waits only for an event"),
            ),
            (400, 404, 409, 413, 415, 422),
            START_BODY,
            scope=Scope.RUN,
        ),
        Route(
            "GET",
            "/executions",
            executions.listing,
            "listExecutions",
            (json_reply(models.ExecutionPage, "Executions"),),
            (404, 422),
        ),
        Route(
            "GET",
            one,
            executions.get,
            "getExecution",
            (json_reply(models.Execution, "The execution"), part),
            (404, 416, 422),
        ),
        Route(
            "GET",
            f"{one}/nodes/<path>",
            executions.node,
            "getNode",
            (json_reply(models.Node, "The node"), part),
            (404, 416, 422),
        ),
        Route(
            "GET",
            f"{one}/passes/<path>",
            executions.passes,
            "listPasses",
            (json_reply(models.PassPage, "Passes of the loop"),),
            (404, 422),
        ),
        Route(
            "GET",
            f"{one}/why",
            executions.why,
            "whyExecution",
            (json_reply(operator_models.Why, "What it waits for"),),
            (404, 422),
        ),
    )


def _journal_routes(journals: Journals, streams: EventStreams) -> tuple[Route, ...]:
    return (
        Route(
            "GET",
            "/executions/<execution_id>/history",
            journals.history,
            "getHistory",
            (json_reply(models.HistoryPage, "What happened"),),
            (404, 422),
        ),
        Route(
            "GET",
            "/executions/<execution_id>/journal",
            journals.stored,
            "getJournal",
            (json_reply(operator_models.JournalPage, "A part of the journal"),),
            (404, 413, 422),
        ),
        Route(
            "GET",
            "/executions/<execution_id>/stream",
            streams.stream,
            "streamExecution",
            (Reply(200, "What is new", {EVENT_STREAM: None}), Reply(204, "It has ended")),
            (404, 422),
        ),
        Route(
            "GET",
            "/executions/<execution_id>/steps",
            journals.steps,
            "getSteps",
            (json_reply(operator_models.StepsPage, "Node runs, and steps of agents"),),
            (404, 413, 422),
        ),
        Route(
            "GET",
            "/executions/<execution_id>/trace",
            journals.trace,
            "getTrace",
            (json_reply(operator_models.Trace, "Spans of the trace"),),
            (404, 413, 422),
        ),
    )


def _usage_route(executions: Executions) -> Route:
    return Route(
        "GET",
        "/usage",
        executions.usage,
        "getUsage",
        (json_reply(operator_models.UsagePage, "What models have used"),),
        (404, 422),
    )


def _event_route(events: Events) -> Route:
    return Route(
        "POST",
        "/executions/<execution_id>/events",
        events.send,
        "sendEvent",
        (
            Reply(202, "On its way", {JSON_TYPE: models.EventAccepted}, LOCATION_HEADER),
            json_reply(models.EventResult, "What the event did"),
        ),
        (400, 404, 409, 413, 415, 422, 429),
        EVENT_BODY,
        scope=Scope.RUN,
    )


def _control_routes(controls: Controls) -> tuple[Route, ...]:
    return tuple(
        Route(
            "POST",
            f"/executions/<execution_id>/{operation.name}",
            controls.operation(operation),
            f"{operation.name}Execution",
            (
                Reply(202, "On its way", {JSON_TYPE: operator_models.Controlled}, LOCATION_HEADER),
                json_reply(operator_models.Controlled, "The execution was like that already"),
            ),
            (400, 404, 409, 413, 415, 422),
            CONTROL_BODY,
        )
        for operation in OPERATIONS.values()
    )


def _bulk_routes(bulks: Bulks) -> tuple[Route, ...]:
    return tuple(
        Route(
            "POST",
            f"{WORKFLOW}/executions/{operation.name}",
            bulks.operation(operation),
            f"{operation.name}Executions",
            (json_reply(operator_models.BulkPage, "What was asked of the executions of this page"),),
            (400, 404, 413, 415, 422),
            BULK_BODY,
        )
        for operation in map(OPERATIONS.__getitem__, MANY)
    )


def _freeze_routes(switches: Switches) -> tuple[Route, ...]:
    one = "/freezes/<scope>"
    frozen = {JSON_TYPE: operator_models.Frozen}
    return (
        Route(
            "GET",
            "/freezes",
            switches.listing,
            "listFreezes",
            (json_reply(operator_models.FreezeList, "What is frozen"),),
            (422,),
        ),
        Route(
            "GET", one, switches.get, "getFreeze", (json_reply(operator_models.FreezeDetail, "The freeze"),), (404, 422)
        ),
        Route(
            "PUT",
            one,
            switches.freeze,
            "putFreeze",
            (Reply(200, "Frozen, or frozen already", frozen),),
            (400, 404, 413, 415, 422),
            CONTROL_BODY,
        ),
        Route("DELETE", one, switches.thaw, "deleteFreeze", (Reply(200, "Thawed", frozen),), (404, 422)),
    )


def _hook_routes(events: Events) -> tuple[Route, ...]:
    """One per method that a webhook trigger may ask for; `topology` opens the same ones to unknown callers."""
    return tuple(
        Route(
            method,
            "/hooks/<workflow_id>/<endpoint>",
            events.receive,
            f"{method.lower()}Hook",
            (Reply(202, "Started, or started before under the trigger's key", {JSON_TYPE: models.Triggered}),),
            (400, 401, 404, 409, 413, 415, 422),
            HOOK_BODY if method != "GET" else None,
            any_query=True,
            scope=Scope.OPEN,
        )
        for method in ("POST", "PUT", "GET")
    )


def _health(runtime: Runtime) -> Route:
    async def check(request: Request) -> Answer:  # noqa: ARG001
        """Whether requests can be answered, and what is frozen; 503 when the table cannot be read."""
        frozen = await runtime.ports.offload(runtime.looks.read)
        return json_answer({"status": "ok", "frozen": sorted(frozen)})

    return Route("GET", "/health", check, "getHealth", (json_reply(models.Health, "It works"),), (422,))


def content_types(body: str) -> tuple[str, ...]:
    """The types of a route's body, the usual one first."""
    if body == HOOK_BODY:
        return (*JSON_TYPES, FORM_TYPE)
    if body == CALL_BODY:
        return JSON_TYPES
    return (*YAML_TYPES, *JSON_TYPES) if body in (SOURCE_BODY, AGENT_BODY) else (*JSON_TYPES, *YAML_TYPES)


def responses(route: Route) -> dict[int, Any]:
    """A route's answers as Powertools takes them."""
    found: dict[int, Any] = {}
    for reply in route.replies:
        content: dict[str, Any] = {
            media_type: {"schema": {} if media_type == EVENT_STREAM else {"type": "string"}}
            if model is None
            else {"model": model}
            for media_type, model in reply.content.items()
        }
        headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in reply.headers.items()}
        found[reply.status] = {"description": reply.description, "content": content, "headers": headers}
    return found
