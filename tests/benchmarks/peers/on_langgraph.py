"""LangGraph with its SQLite checkpointer.

A graph with a node for every node, and static edges; executions are threads of it, many at once by ``batch``, a thread
of the process for each. ``durability="sync"``: what a step gave is stored before the next begins, as with ours. An
event resumes an ``interrupt``, after which the graph loops back to wait for the next.
"""

from __future__ import annotations

import operator
import sqlite3
from itertools import count
from typing import Annotated, Any, TypedDict

from harness import PRAGMAS, Check, Sizes, above, arguments, serve
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

GIVEN = "hello"
DURABILITY = "sync"


class Value(TypedDict):
    x: str


class Done(TypedDict):
    done: Annotated[int, operator.add]


class Gathered(TypedDict):
    x: str
    xs: Annotated[list[str], operator.add]


class Count(TypedDict):
    count: int


def echo(state: Value) -> Value:
    return {"x": state["x"]}


def chain(length: int) -> StateGraph[Any]:
    graph = StateGraph(Value)
    for number in range(length):
        graph.add_node(f"n{number}", echo)
        graph.add_edge(f"n{number - 1}" if number else START, f"n{number}")
    return graph.add_edge(f"n{length - 1}", END)


def fan(width: int) -> StateGraph[Any]:
    graph = StateGraph(Gathered).add_node("head", echo).add_edge(START, "head")
    names = [f"n{number}" for number in range(width)]
    for name in names:
        graph.add_node(name, lambda state: {"xs": [state["x"]]}).add_edge("head", name)
    return graph.add_node("join", lambda _: {"x": "joined"}).add_edge(names, "join").add_edge("join", END)


def layered(layers: int, width: int) -> StateGraph[Any]:
    graph = StateGraph(Done)
    for layer in range(layers):
        for place in range(width):
            graph.add_node(f"n{layer}_{place}", lambda _: {"done": 1})
            before = [f"n{number}_{other}" for number, other in above(layer, place, width)]
            graph.add_edge(before or START, f"n{layer}_{place}")
    return graph


def counter() -> StateGraph[Any]:
    def wait(state: Count) -> Count:
        return {"count": state["count"] + interrupt("press")}

    return StateGraph(Count).add_node("wait", wait).add_edge(START, "wait").add_edge("wait", "wait")


class LangGraph:
    def __init__(self, saver: SqliteSaver, sizes: Sizes) -> None:
        self._sizes = sizes
        self._threads = count()
        self._chain = chain(sizes.chain).compile(checkpointer=saver)
        self._fan = fan(sizes.fan).compile(checkpointer=saver)
        self._layered = layered(sizes.layers, sizes.width).compile(checkpointer=saver)
        self._many = chain(sizes.short).compile(checkpointer=saver)
        self._counter = counter().compile(checkpointer=saver)
        self.shapes = {
            "chain": self.chain,
            "fan": self.fan,
            "layered": self.layered,
            "many": self.many,
            "events": self.events,
        }

    def _config(self) -> dict[str, Any]:
        return {"configurable": {"thread_id": str(next(self._threads))}, "recursion_limit": 10_000}

    def chain(self) -> Check:
        ended = self._chain.invoke({"x": GIVEN}, self._config(), durability=DURABILITY)
        return lambda: ended == {"x": GIVEN}

    def fan(self) -> Check:
        ended = self._fan.invoke({"x": GIVEN}, self._config(), durability=DURABILITY)
        return lambda: ended == {"x": "joined", "xs": [GIVEN] * self._sizes.fan}

    def layered(self) -> Check:
        ended = self._layered.invoke({"done": 0}, self._config(), durability=DURABILITY)
        return lambda: ended == {"done": self._sizes.layers * self._sizes.width}

    def many(self) -> Check:
        inputs = [{"x": GIVEN}] * self._sizes.executions
        ended = self._many.batch(inputs, [self._config() for _ in inputs], durability=DURABILITY)
        return lambda: ended == inputs

    def events(self) -> Check:
        config = self._config()
        self._counter.invoke({"count": 0}, config, durability=DURABILITY)
        for _ in range(self._sizes.events):
            self._counter.invoke(Command(resume=1), config, durability=DURABILITY)
        return lambda: self._counter.get_state(config).values == {"count": self._sizes.events}


if __name__ == "__main__":
    folder, sizes = arguments()
    connection = sqlite3.connect(folder / "langgraph.db", check_same_thread=False)
    for pragma in PRAGMAS:
        connection.execute(pragma)
    serve(LangGraph(SqliteSaver(connection), sizes).shapes)
