"""All objects as the watches have told of them: what an object is looked at together with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from workflow_runtime.frontends.operator.composing import first_of
from workflow_runtime.frontends.operator.resources import Key, Kind, Resource

NEIGHBOURS = {
    Kind.WORKFLOW: (Kind.WORKFLOW, Kind.TRIGGER),
    Kind.TRIGGER: (Kind.WORKFLOW,),
    Kind.AGENT: (Kind.AGENT,),
    Kind.LIMIT: (Kind.LIMIT,),
    Kind.RUN: (),
}
"""Which kinds of objects with the same claim a change of one concerns."""


class Store:
    def __init__(self) -> None:
        self._resources: dict[Key, Resource] = {}
        self._claims: defaultdict[tuple[Kind, str], dict[Key, None]] = defaultdict(dict)

    def claiming(self, kind: Kind, claim: str) -> list[Resource]:
        """The objects of a kind with this claim."""
        return [self._resources[key] for key in self._claims.get((kind, claim), ())]

    def owner(self, kind: Kind, claim: str) -> Resource | None:
        """Of those that are there to stay, the first."""
        return first_of(self.claiming(kind, claim))

    def with_findings(self, *kinds: Kind) -> list[Resource]:
        """The objects of these kinds whose status tells of findings."""
        return [each for key, each in self._resources.items() if key.kind in kinds and each.status.get("findings")]

    def put(self, resource: Resource) -> set[Key]:
        """Take over what a watch says: which objects are to be looked at because of it."""
        before = self._resources.get(resource.key)
        if before is not None and _mark(before) == _mark(resource):
            self._resources[resource.key] = resource
            return set()
        if before is not None:
            self._forget(before)
        self._resources[resource.key] = resource
        self._claims[resource.key.kind, resource.claim][resource.key] = None
        concerned = set(self._neighbours(resource)) | {resource.key}
        return concerned | (set(self._neighbours(before)) if before is not None else set())

    def drop(self, key: Key) -> set[Key]:
        """Forget an object that is gone: which objects are to be looked at because of it."""
        before = self._resources.pop(key, None)
        if before is None:
            return set()
        self._forget(before)
        return set(self._neighbours(before))

    def _forget(self, resource: Resource) -> None:
        place = (resource.key.kind, resource.claim)
        self._claims[place].pop(resource.key, None)
        if not self._claims[place]:
            del self._claims[place]

    def _neighbours(self, resource: Resource) -> Iterator[Key]:
        for kind in NEIGHBOURS[resource.key.kind]:
            yield from self._claims.get((kind, resource.claim), ())


def _mark(resource: Resource) -> tuple[object, ...]:
    """What of an object others act on: all but its status, which we have written ourselves."""
    return resource.uid, resource.generation, resource.deleting, resource.finalizers
