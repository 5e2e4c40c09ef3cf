"""From an API Gateway event to its answer: Powertools' resolver finds the route and validates, then the operation runs.

The resolver keeps the current event in one place for the whole process, so nothing may be awaited inside it: it calls
routes that only *prepare* their operation, and what it resolves is that coroutine. So waiting requests share one event
loop.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from workflow_runtime.frontends.api.answers import Answer, problem_answer
from workflow_runtime.frontends.api.problems import Problem, invalid, invalid_parameter, problem_of
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.frontends.api.route import Route
from workflow_runtime.frontends.api.routes import responses, routes

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

PREPARED = "application/x-prepared"  # no JSON, so that the resolver hands the coroutine on as it is

logger = logging.getLogger(__name__)


class Application:
    """`answer` may be called for many requests at once, in one event loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._routes = routes(runtime)
        self._runtime = runtime
        self._request: Request | None = None
        self.resolver = APIGatewayHttpResolver(enable_validation=True)
        for route in self._routes:
            self._register(route)
        self.resolver.exception_handler(NotFoundError)(self._not_found)
        self.resolver.exception_handler(RequestValidationError)(lambda error: _prepared(invalid(error.errors())))
        self.resolver.exception_handler(Problem)(_prepared)

    @property
    def routes(self) -> tuple[Route, ...]:
        return self._routes

    async def answer(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """The answer in payload version 2.0. Raises nothing: an unexpected error is logged and answered with 500."""
        method = "GET"
        try:
            request = Request.of(event, self._runtime.callers.identity_claim)
            method = request.method
            answer = await self._prepare(request, context)
        except Exception as error:
            answer = _answer_to(error)
        return answer.event(method)

    async def _prepare(self, request: Request, context: Any) -> Answer:
        self._request = request
        prepared: Awaitable[Answer] | Problem = self.resolver.resolve(request.event(), context)["body"]
        if isinstance(prepared, Problem):
            raise prepared
        return await prepared

    def _register(self, route: Route) -> None:
        method = self.resolver.route(
            route.rule,
            route.method,
            summary=(inspect.getdoc(route.operation) or "").replace("\n", " "),
            tags=[route.tag],
            operation_id=route.name,
            responses=responses(route),
        )
        method(self._preparing(route))

    def _preparing(self, route: Route) -> Callable[..., Response[Any]]:
        """What the resolver takes for the route: the operation's parameters, and its coroutine as the answer."""
        operation = route.operation
        signature = inspect.signature(operation, eval_str=True)
        parameters = [parameter for name, parameter in signature.parameters.items() if name != "request"]

        def prepare(**arguments: Any) -> Response[Any]:
            request = self._request
            assert request is not None
            if not route.any_query:
                _check_query(request, {parameter.name for parameter in parameters})
            return _prepared(operation(request, **arguments))

        prepare.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        prepare.__name__ = operation.__name__
        return prepare

    def _not_found(self, error: NotFoundError) -> Response[Any]:  # noqa: ARG002
        assert self._request is not None
        path = self._request.event()["rawPath"]
        exact = {route.method for route in self._routes if route.rule == path}
        allowed = sorted(exact or {route.method for route in self._routes if route.pattern.fullmatch(path)})
        if not allowed:
            return _prepared(Problem("not_found", "there is nothing at this path"))
        if "GET" in allowed:
            allowed.append("HEAD")
        allow = ", ".join(allowed)
        return _prepared(Problem("method_not_allowed", f"this path takes {allow}", headers={"Allow": allow}))


def _prepared(outcome: Awaitable[Answer] | Problem) -> Response[Any]:
    """Hands an outcome through the resolver: it logs what is raised in it as a fault, so nothing is."""
    return Response(200, PREPARED, outcome)


def _check_query(request: Request, known: set[str]) -> None:
    for name, _ in request.query:
        if name not in known:
            raise invalid_parameter("query", name, "there is no such parameter")


def _answer_to(error: Exception) -> Answer:
    problem = problem_of(error)
    if problem is None:
        logger.error("a request failed", exc_info=error)
        problem = Problem("internal_error", "this is a fault of the service; its log has the reason")
    elif problem.code == "unavailable":
        logger.warning("a request could not be answered", extra={"reason": str(error)})
    return problem_answer(problem)
