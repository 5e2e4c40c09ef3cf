"""The AWS Lambda durable execution SDK with its local test runner, which keeps everything in memory.

A node is a step; those that run at once are branches of ``parallel``. An event completes a callback that the function
waits for; then the function is invoked again and replays what it has done.
"""

from __future__ import annotations

import json
import logging
import queue
from collections.abc import Callable
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner
from harness import Check, Sizes, above, arguments, serve

GIVEN = "hello"
SECONDS_MAX = 60

sizes = Sizes()
callbacks: queue.SimpleQueue[str] = queue.SimpleQueue()


def echo(x: str) -> Callable[[Any], str]:
    return lambda _: x


def branch(x: str) -> Callable[[DurableContext], str]:
    return lambda context: context.step(echo(x))


def chain(event: dict[str, Any], context: DurableContext) -> str:
    x = event["x"]
    for _ in range(event["length"]):
        x = context.step(echo(x))
    return x


def fan(event: dict[str, Any], context: DurableContext) -> list[str]:
    head = context.step(echo(event["x"]))
    middle = context.parallel([branch(head) for _ in range(sizes.fan)]).get_results()
    context.step(echo("join"))
    return middle


def layered(event: dict[str, Any], context: DurableContext) -> list[str]:
    xs = [event["x"]] * sizes.width
    for layer in range(sizes.layers):
        read = [xs[above(layer, place, sizes.width)[0][1]] if layer else xs[0] for place in range(sizes.width)]
        xs = context.parallel([branch(x) for x in read]).get_results()
    return xs


def counter(event: dict[str, Any], context: DurableContext) -> int:
    count = event["count"]
    while count < sizes.events:
        count += int(context.wait_for_callback(lambda id, _: callbacks.put(id)))
    return count


SHAPES = {"chain": chain, "many": chain, "fan": fan, "layered": layered, "events": counter}


@durable_execution
def handler(event: dict[str, Any], context: DurableContext) -> Any:
    return SHAPES[event["shape"]](event, context)


class DurableFunctions:
    def __init__(self, runner: DurableFunctionTestRunner) -> None:
        self._runner = runner
        self.shapes = {
            "chain": lambda: self.run("chain", [GIVEN], x=GIVEN, length=sizes.chain),
            "fan": lambda: self.run("fan", [[GIVEN] * sizes.fan], x=GIVEN),
            "layered": lambda: self.run("layered", [[GIVEN] * sizes.width], x=GIVEN),
            "many": lambda: self.run("many", [GIVEN] * sizes.executions, x=GIVEN, length=sizes.short),
            "events": self.events,
        }

    def run(self, shape: str, wanted: list[Any], **event: Any) -> Check:
        """Run an execution for each result that is ``wanted``, at once."""
        executions = [self._runner.run_async(json.dumps({"shape": shape, **event})) for _ in wanted]
        ended = [self._result(execution) for execution in executions]
        return lambda: ended == wanted

    def events(self) -> Check:
        execution = self._runner.run_async(json.dumps({"shape": "events", "count": 0}))
        for _ in range(sizes.events):
            self._runner.send_callback_success(callbacks.get(timeout=SECONDS_MAX), b"1")
        ended = self._result(execution)
        return lambda: ended == sizes.events

    def _result(self, execution: str) -> Any:
        return json.loads(self._runner.wait_for_result(execution, SECONDS_MAX).result)


if __name__ == "__main__":
    logging.disable(logging.INFO)
    _, sizes = arguments()
    with DurableFunctionTestRunner(handler=handler) as runner:
        serve(DurableFunctions(runner).shapes)
