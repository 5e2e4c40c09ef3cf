"""A second interpreter of the language's graphs, to check the engine against: slow, plain, and written from the text.

It walks the definition (a dict, as YAML gives it), knows neither plan nor engine, and rescans everything until nothing
changes. Where the language leaves open what comes first, the order of the scan decides: ``shuffle`` turns it about, and
every outcome so found is allowed. Conditions are of the form ``${id.v} == 1`` only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

Definition = dict[str, Any]
Outcome = tuple[str, dict[str, str], Any, Any]
"""Status of the execution, statuses by node, output, and (type, node) of the error."""

FLOW, GATE, ORDER = "flow", "gate", "order"
ENDED = ("success", "failed", "skipped", "cancelled")
TRANSPARENT = ("switch", "condition", "parallel", "gather", "branch")
REFERENCE = re.compile(r"\$\{(\w+)\.v\}")


def kind(node: Definition) -> str:
    return str(node.get("subtype") or node["type"])


def targets_of(node: Definition) -> list[list[str]]:
    """What each way out of a control node names."""
    match kind(node):
        case "switch":
            return [branch.get("default") or branch["target"] for branch in node["branches"]]
        case "condition":
            return [node.get("then", []), node.get("else", [])]
        case "parallel":
            return [[head] for head in node["branches"]]
    return []


class Graph:
    """Nodes by id with the pseudo nodes of parallels, and ``edges``: (source, target) to kind and conditions."""

    def __init__(self, definition: Definition) -> None:
        self.nodes: dict[str, Definition] = {node["id"]: node for node in definition["nodes"]}
        self.edges: dict[tuple[str, str], list[Any]] = {}
        for node in definition["nodes"]:
            for source in node.get("dependencies", []):
                self.add(source, node["id"])
        for edge in definition.get("edges", []):
            self.add(edge["from"], edge["to"], condition=edge.get("condition"))
        for node in definition["nodes"]:
            for target in (target for way in targets_of(node) for target in way):
                self.add(node["id"], target, FLOW if kind(node) == "parallel" else GATE)
        declared = {target for _, target in self.edges}
        for node in definition["nodes"]:
            for source in self.reads(node) if node["id"] not in declared else ():
                self.add(source, node["id"])
        self.members = {id: self.branches_of(id) for id in self.nodes if kind(self.nodes[id]) == "parallel"}
        self.settle_gates()
        self.members = {id: self.branches_of(id) for id in self.members}
        for id in reversed(self.sorted()):
            if id in self.members:
                self.wait_for(id)
        above = self.ancestors()
        for node in definition["nodes"]:
            for source in self.reads(node):
                if source not in above[node["id"]]:
                    self.add(source, node["id"], ORDER)

    def add(self, source: str, target: str, kind: str = FLOW, condition: str | None = None) -> None:
        known = self.edges.setdefault((source, target), [kind, []])
        if kind == GATE:
            known[0] = GATE
        if condition is not None:
            known[1].append(condition)

    def reads(self, node: Definition) -> list[str]:
        texts = [node.get("when"), node.get("condition"), *(node.get("inputs") or {}).values(), node.get("output")]
        texts += [branch.get("when") for branch in node.get("branches", []) if isinstance(branch, dict)]
        return list(dict.fromkeys(REFERENCE.findall(" ".join(text for text in texts if isinstance(text, str)))))

    def into(self, id: str, *, order: bool = False) -> list[str]:
        """Sources of a node's edges, in dependency order."""
        return [u for (u, v), (what, _) in self.edges.items() if v == id and (order or what != ORDER)]

    def sorted(self) -> list[str]:
        left = dict.fromkeys(self.nodes)
        found: list[str] = []
        while left:
            free = [id for id in left if not any(source in left for source in self.into(id, order=True))]
            assert free, "a cycle"
            found += free
            left = {id: None for id in left if id not in free}
        return found

    def ancestors(self) -> dict[str, set[str]]:
        above: dict[str, set[str]] = {}
        for id in self.sorted():
            above[id] = {up for source in self.into(id, order=True) for up in (source, *above[source])}
        return above

    def settle_gates(self) -> None:
        """A gated node keeps only edges from below another target of its control node; the rest order it."""
        below: dict[str, set[str]] = {}
        for id in self.sorted():
            gates = [u for u in self.into(id) if self.edges[u, id][0] == GATE]
            rivals = {target for gate in gates for way in targets_of(self.nodes[gate]) for target in way} - {id}
            for source in self.into(id) if gates else []:
                if self.edges[source, id][0] == FLOW and not below[source] & rivals:
                    self.edges[source, id][0] = ORDER
            below[id] = {id}.union(*(below[source] for source in self.into(id)))

    def branches_of(self, parallel: str) -> list[list[str]]:
        """A branch is the named node and the nodes that only it leads to."""
        heads = self.nodes[parallel]["branches"]
        found = []
        for head in heads:
            members = [head]
            for id in self.sorted():
                sources = self.into(id)
                if id not in heads and sources and all(source in members for source in sources):
                    members.append(id)
            found.append(members)
        return found

    def wait_for(self, parallel: str) -> None:
        """Whoever depends on the parallel node and is in no branch waits for the branches' ends."""
        inside = {member for branch in self.members[parallel] for member in branch}
        waiting = [v for u, v in self.edges if u == parallel and v not in inside]
        if not waiting:
            return
        ends = [[member for member in branch if not self.goes_on(member, branch)] for branch in self.members[parallel]]
        sources = [end for branch in ends for end in branch]
        if not self.nodes[parallel].get("wait_all", True):
            sources = [f"~{parallel}"]
            self.nodes[sources[0]] = {"type": "gather", "join": "any", "of": parallel, "outer": waiting}
            for number, branch in enumerate(ends):
                if len(branch) > 1:
                    self.nodes[name := f"~{parallel}~{number}"] = {"type": "branch", "join": "all_success"}
                    for end in branch:
                        self.add(end, name)
                    branch = [name]
                self.add(branch[0], f"~{parallel}")
        for target in waiting:
            what, conditions = self.edges[parallel, target]
            known = {source: self.edges.get((source, target)) for source in sources}
            edges = {}
            for pair, edge in self.edges.items():  # the branches' ends stand where the parallel node stood
                if pair != (parallel, target):
                    edges.setdefault(pair, edge)
                    continue
                for source in sources:
                    kind_of, more = known[source] or [ORDER, []]
                    edges[source, target] = [what if kind_of == ORDER else kind_of, [*conditions, *more]]
            self.edges = edges

    def goes_on(self, member: str, branch: list[str]) -> bool:
        for (source, target), (what, _) in self.edges.items():
            if (
                source == member
                and what != ORDER
                and (target in branch or (target[0] == "~" and self.goes_on(target, branch)))
            ):
                return True
        return False


class Run:
    """One execution. ``outcomes``: of worker nodes, an output or ("!", error type)."""

    def __init__(self, graph: Graph, outcomes: dict[str, Any], shuffle: Callable[[list[Any]], None]) -> None:
        self.graph, self.outcomes, self.shuffle = graph, outcomes, shuffle
        self.status = dict.fromkeys(graph.nodes, "waiting")
        self.over: set[str] = set()
        self.output: dict[str, Any] = {}
        self.selected: dict[str, list[str]] = {}
        self.alive: dict[tuple[str, str], bool] = {}
        self.tolerated: list[tuple[str, Any]] = []
        self.failure: Any = None
        self.succeeded: str | None = None

    def arrive(self, id: str) -> None:
        """A worker's result for a node, unless it is not wanted any more."""
        if self.status[id] == "ready":
            self.finish(id, self.outcomes[id])
            self.scan()

    def finish(self, id: str, outcome: Any) -> None:
        if isinstance(outcome, tuple):
            self.status[id] = "failed"
            self.failed(id, (outcome[1], id))
        else:
            self.status[id], self.output[id] = "success", outcome

    def scan(self) -> None:
        """Draw conclusions until there are none."""
        while any(self.conclude(step) for step in self.steps()):
            pass

    def steps(self) -> list[Any]:
        """Edges to resolve and nodes to judge."""
        edges = [pair for pair in self.graph.edges if pair not in self.alive and self.status[pair[0]] in ENDED]
        steps = [*edges, *(id for id, status in self.status.items() if status == "waiting")]
        self.shuffle(steps)
        return steps

    def conclude(self, step: Any) -> bool:
        if isinstance(step, str):
            return self.judge(step)
        self.alive[step] = self.is_alive(*step)
        return True

    def is_alive(self, source: str, target: str) -> bool:
        what, conditions = self.graph.edges[source, target]
        if self.status[source] != "success" and source not in self.over:
            return False
        if what == GATE and target not in self.selected.get(source, []):
            return False
        return all(self.holds(condition) for condition in conditions)

    def holds(self, text: str) -> bool:
        if text in ("true", "false"):
            return text == "true"
        left, right = text.split(" == ")
        return bool(self.value(left) == int(right))

    def value(self, text: Any) -> Any:
        match = REFERENCE.fullmatch(text) if isinstance(text, str) else None
        output = self.output.get(match[1]) if match else text
        return (output.get("v") if isinstance(output, dict) else None) if match else text

    def count(self, id: str) -> tuple[int, int, int]:
        """Edges that decide, of them resolved, of them alive."""
        pairs = [(source, id) for source in self.graph.into(id)]
        return len(pairs), sum(pair in self.alive for pair in pairs), sum(self.alive.get(pair, False) for pair in pairs)

    def judge(self, id: str) -> bool:
        join = self.graph.nodes[id].get("join", "all")
        total, resolved, alive = self.count(id)
        if join == "all":
            run, skip = resolved == total and (alive > 0 or not total), resolved == total and alive == 0 < total
        elif join == "all_success":
            run, skip = alive == total, resolved > alive
        elif join == "all_done":
            run, skip = resolved == total, False
        else:
            needed = 1 if join == "any" else join["at_least"]
            run, skip = alive >= needed or not total, alive + total - resolved < needed
        if run and all(self.status[source] in ENDED for source in self.orders(id)):
            self.begin(id)
            return True
        if skip and not run:
            self.give_up(id)
            return True
        return False

    def orders(self, id: str) -> list[str]:
        return [source for source in self.graph.into(id, order=True) if self.graph.edges[source, id][0] == ORDER]

    def give_up(self, id: str) -> None:
        errors = [error for source, error in self.tolerated if source in self.authored_sources(id)]
        if errors and self.graph.nodes[id]["type"] != "branch":
            self.fail(errors[0])
        else:
            self.status[id] = "skipped"

    def authored_sources(self, id: str) -> set[str]:
        found: set[str] = set()
        for source in self.graph.into(id):
            found |= self.authored_sources(source) if source[0] == "~" else {source}
        return found

    def begin(self, id: str) -> None:
        node = self.graph.nodes[id]
        if "when" in node and not self.holds(node["when"]):
            self.status[id] = "skipped"
            if node.get("on_skip") == "continue":
                self.over.add(id)
            return
        self.status[id] = "ready"
        self.start(id, node)

    def start(self, id: str, node: Definition) -> None:
        """An attempt of a node begins; it may be over at once."""
        match kind(node):
            case "tool":
                return
            case "pass":
                self.finish(id, {key: self.value(value) for key, value in node["inputs"].items()})
            case "fail":
                self.finish(id, ("!", node["error"]))
            case "succeed":
                self.finish(id, self.value(node.get("output")))
                if self.failure is None:
                    self.succeeded = id
                    self.withdraw(list(self.status))
            case "aggregation":
                self.finish(id, self.aggregated(id, node))
            case "gather":
                self.finish(id, None)
                self.cancel_rest(id, node["of"])
            case "branch":
                self.finish(id, None)
            case _:
                self.selected[id] = self.choose(node)
                self.finish(id, {"selected": self.selected[id]})

    def choose(self, node: Definition) -> list[str]:
        ways = targets_of(node)
        if kind(node) == "condition":
            return ways[0] if self.holds(node["condition"]) else ways[1]
        if kind(node) == "parallel":
            return [head for way in ways for head in way]
        value = self.value(node.get("condition"))
        for branch, way in sorted(zip(node["branches"], ways, strict=True), key=lambda pair: "default" in pair[0]):
            if "default" in branch or ("when" in branch and self.holds(branch["when"])):
                return way
            if "case" in branch and branch["case"] == value:
                return way
        return []

    def aggregated(self, id: str, node: Definition) -> Any:
        operands = [source for source in self.before(id) if self.status[source] == "success"]
        values = [self.output[source] for source in operands]
        if not values:
            return node.get("default", ("!", "execution_error"))
        if node["strategy"] == "collect_by_id":
            return dict(zip(operands, values, strict=True))
        if node["strategy"] == "merge":
            return (
                {key: value for item in values for key, value in item.items()}
                if all(isinstance(item, dict) for item in values)
                else ("!", "execution_error")
            )
        return values

    def before(self, id: str) -> list[str]:
        """Sources in dependency order, control nodes looked through."""
        found: dict[str, None] = {}
        for source in self.graph.into(id):
            see_through = kind(self.graph.nodes[source]) in TRANSPARENT
            found.update(dict.fromkeys(self.before(source) if see_through else [source]))
        return list(found)

    def cancel_rest(self, gather: str, parallel: str) -> None:
        if not self.graph.nodes[parallel].get("cancel_rest"):
            return
        for source, branch in zip(self.graph.into(gather), self.graph.members[parallel], strict=True):
            if not self.alive.get((source, gather), False):
                self.withdraw(branch)

    def failed(self, id: str, error: Any) -> None:
        if self.failure is not None:
            return
        joins = list(self.joins_behind(id))
        handled = joins and kind(self.graph.nodes[id]) != "fail" and all(map(self.forgives, joins))
        if not handled:
            self.fail(error)
            return
        self.tolerated.append((id, error))
        lost = [join for join in joins if not self.can_be_met(join)]
        errors = [early for source, early in self.tolerated if any(source in self.authored_sources(v) for v in lost)]
        if errors:
            self.fail(errors[0])

    def joins_behind(self, id: str) -> Iterator[str]:
        for (source, target), (what, _) in self.graph.edges.items():
            if source == id and what != ORDER:
                if self.graph.nodes[target]["type"] == "branch":
                    yield from self.joins_behind(target)
                else:
                    yield target

    def forgives(self, id: str) -> bool:
        join = self.graph.nodes[id].get("join", "all")
        return join == "any" or isinstance(join, dict)

    def can_be_met(self, id: str) -> bool:
        join = self.graph.nodes[id].get("join", "all")
        needed = join["at_least"] if isinstance(join, dict) else 1
        alive = possible = 0
        for source in self.graph.into(id):
            verdict = self.alive.get((source, id))
            alive += bool(verdict)
            possible += verdict is None and (self.status[source] not in ENDED or self.status[source] == "success")
        return alive >= needed or (self.status[id] == "waiting" and alive + possible >= needed)

    def fail(self, error: Any) -> None:
        if self.failure is None:
            self.failure = error
            self.withdraw([id for id in self.status if self.graph.nodes[id].get("join") != "all_done"])

    def withdraw(self, ids: list[str]) -> None:
        for id in ids:
            if self.status[id] in ("waiting", "ready"):
                self.status[id] = "skipped" if self.status[id] == "waiting" else "cancelled"

    def outcome(self, definition: Definition) -> Outcome:
        statuses = {id: status for id, status in self.status.items() if id[0] != "~"}
        if any(status not in ENDED for status in statuses.values()):
            return "running", statuses, None, None
        if self.failure is not None:
            return "failed", statuses, None, self.failure
        return "completed", statuses, self.yielded(definition), None

    def yielded(self, definition: Definition) -> Any:
        if self.succeeded is not None and "output" in self.graph.nodes[self.succeeded]:
            return self.output[self.succeeded]
        inner = {source for (source, _), (what, _) in self.graph.edges.items() if what != ORDER}
        silent = ("switch", "condition", "parallel", "wait", "fail")
        sinks = [node["id"] for node in definition["nodes"] if node["id"] not in inner and kind(node) not in silent]
        outputs = {id: self.output[id] for id in sinks if self.status[id] == "success"}
        return outputs if len(sinks) > 1 else next(iter(outputs.values()), None)
