"""Stage *branches*: what belongs to the branches of a parallel node, and who waits for their ends.

A branch is its head and the nodes that only it leads to. A link from a parallel node to a node in none of its
branches becomes links from the branches' ends (``wait_all``), or from a hidden gather that the first branch to succeed
completes. Hidden nodes are numbered after the authored ones and exist only where somebody waits.
"""

from __future__ import annotations

from collections import deque

import msgspec

from workflow_runtime.compiler.shape.walks import (
    DEPENDENCY,
    Link,
    Links,
    TooManyEdges,
    incoming_of,
    merge,
    topological_order,
)
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.control import ParallelNode
from workflow_runtime.plan.edges import EdgeKind
from workflow_runtime.plan.specs import GatherSpec

MEMBERSHIPS_MAX = 100_000  # as many as edges: some 450 parallel nodes inside of each other


class Gather(msgspec.Struct, frozen=True):
    """A hidden node: its id and what it stands for."""

    id: str
    spec: GatherSpec


class Branched:
    """The graph with its branches, and the links and gathers that waiting for them makes.

    ``count`` is the number of authored nodes; ``members``: per parallel node, per branch, authored nodes, head first.
    """

    def __init__(self, nodes: tuple[NodeDefinition, ...], links: Links) -> None:
        self.count = len(nodes)
        self.links: Links = dict(links)
        self.parallels = {position: node for position, node in enumerate(nodes) if isinstance(node, ParallelNode)}
        self.members: dict[int, tuple[tuple[int, ...], ...]] = {}
        self.gathers: list[Gather] = []
        self._memberships = 0
        self._inside: dict[int, set[int]] = {}
        self._waits: dict[int, tuple[int, ...]] = {}
        self._targets: dict[int, list[int]] = {}
        for source, target in links if self.parallels else ():  # asked for their branches only
            self._targets.setdefault(source, []).append(target)

    @property
    def size(self) -> int:
        """Number of nodes, hidden ones included."""
        return self.count + len(self.gathers)

    def add(self, link: Link) -> None:
        if (link.source, link.target) not in self.links:
            self._targets.setdefault(link.source, []).append(link.target)
        merge(self.links, link)

    def set_members(self, parallel: int, members: tuple[tuple[int, ...], ...]) -> None:
        """Raises `TooManyEdges`: a node deep inside of branches is a member of all of them."""
        self._memberships += sum(map(len, members))
        if self._memberships > MEMBERSHIPS_MAX:
            raise TooManyEdges(f"branches inside of branches have more than {MEMBERSHIPS_MAX:,} members in all")
        self.members[parallel] = members
        self._inside[parallel] = {node for branch in members for node in branch}

    def is_wait(self, source: int, target: int) -> bool:
        """Whether a link means waiting for the branches of its source, not being one of them."""
        return source in self.parallels and target not in self._inside[source]

    def add_wait(self, link: Link) -> None:
        """Add a link from a parallel node as links from what it means to wait for that node."""
        for number, source in enumerate(self._wait_for(link.source)):
            rank = (*link.rank, number)
            self.add(msgspec.structs.replace(link, source=source, rank=rank))

    def _wait_for(self, parallel: int) -> tuple[int, ...]:
        if parallel not in self._waits:
            self._waits[parallel] = self._make_waits(parallel)
        return self._waits[parallel]

    def _make_waits(self, parallel: int) -> tuple[int, ...]:
        node = self.parallels[parallel]
        ends = [self._ends(branch) for branch in self.members[parallel]]
        if node.wait_all:
            return tuple(dict.fromkeys(end for branch in ends for end in branch))
        sources = []
        for number, branch in enumerate(ends):
            single = len(branch) == 1
            sources.append(
                branch[0] if single else self._gather(f"~{node.id}~{number}", parallel, branch, is_branch=True)
            )
        return (self._gather(f"~{node.id}", parallel, sources, is_branch=False),)

    def _gather(self, id: str, parallel: int, sources: list[int], *, is_branch: bool) -> int:
        position = self.size
        self.gathers.append(Gather(id, GatherSpec(parallel, is_branch)))
        for number, source in enumerate(sources):
            self.add(Link(source, position, (DEPENDENCY, number), ("nodes", parallel)))
        return position

    def _ends(self, branch: tuple[int, ...]) -> list[int]:
        """Members without successors inside the branch; a successor behind a hidden node counts, too."""
        inside = set(branch)

        def continues(node: int) -> bool:
            for target in self._targets.get(node, ()):
                link = self.links.get((node, target))
                if link is None or link.kind is EdgeKind.ORDER:
                    continue
                if target in inside or (target >= self.count and continues(target)):
                    return True
            return False

        return [node for node in branch if not continues(node)]


def branched(nodes: tuple[NodeDefinition, ...], index: dict[str, int], links: Links) -> Branched:
    """The graph with every link from a parallel node to an outsider replaced.

    Later parallel nodes come first: one inside a branch of another is below it, and must be done before that branch's
    ends can be told.
    """
    graph = Branched(nodes, links)
    if not graph.parallels:
        return graph
    order = topological_order(graph.count, links)
    incoming = incoming_of(graph.count, links)
    outgoing: list[list[int]] = [[] for _ in range(graph.count)]
    for source, target in links:
        outgoing[source].append(target)
    for position, parallel in graph.parallels.items():
        heads = list(dict.fromkeys(index[name] for name in parallel.branches if name in index))
        graph.set_members(position, tuple(_members(head, set(heads), incoming, outgoing) for head in heads))
    for position in reversed(order):
        for target in outgoing[position] if position in graph.parallels else ():
            if graph.is_wait(position, target):
                graph.add_wait(graph.links.pop((position, target)))
    return graph


def _members(head: int, heads: set[int], incoming: list[list[Link]], outgoing: list[list[int]]) -> tuple[int, ...]:
    """The head and the nodes whose every flow predecessor is a member. Other heads have branches of their own."""
    members = {head: None}
    reached = deque([head])
    while reached:
        for target in outgoing[reached.popleft()]:
            if target in heads or target in members:
                continue
            sources = [link.source for link in incoming[target] if link.kind is not EdgeKind.ORDER]
            if sources and all(source in members for source in sources):
                members[target] = None
                reached.append(target)
    return (head, *sorted(members.keys() - {head}))
