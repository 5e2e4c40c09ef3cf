"""Which objects concern one another, who has a claim, and what a Workflow and its Triggers are together."""

from __future__ import annotations

from typing import Any

import msgspec

from workflow_runtime.frontends.operator.composing import composed
from workflow_runtime.frontends.operator.deciding import Reason, Seen, publishing
from workflow_runtime.frontends.operator.resources import Key, Kind, Resource
from workflow_runtime.frontends.operator.store import Store

SEEN = Seen(2, "p", '"2-p"')


def resource(kind: Kind, name: str, spec: dict[str, Any], *, age: int = 0, **more: Any) -> Resource:
    body = {"uid": f"uid-{name}", "generation": 1, "created_at": f"2027-01-01T00:00:{age:02d}Z", "deleting": False,
            "finalizers": (), "status": {}, "body": {}, **more}  # fmt: skip
    return Resource(key=Key(kind, name), spec=spec, **body)


def workflow(name: str, id: str = "w", **more: Any) -> Resource:
    return resource(Kind.WORKFLOW, name, {"workflow": {"id": id}}, **more)


def trigger(name: str, id: str = "w", **more: Any) -> Resource:
    return resource(Kind.TRIGGER, name, {"workflow": id, "trigger": {"type": "api", "key": name}}, **more)


def names(keys: set[Key]) -> set[str]:
    return {key.name for key in keys}


def test_a_trigger_that_changes_its_workflow_concerns_both() -> None:
    store = Store()
    for one in (workflow("a", "a"), workflow("b", "b")):
        store.put(one)
    assert names(store.put(trigger("t", "a"))) == {"t", "a"}
    assert names(store.put(trigger("t", "b", generation=2))) == {"t", "a", "b"}
    assert store.put(trigger("t", "b", generation=2, status={"version": 1})) == set()
    assert names(store.drop(Key(Kind.TRIGGER, "t"))) == {"b"}
    assert store.claiming(Kind.TRIGGER, "b") == []


def test_the_oldest_object_that_stays_has_the_claim() -> None:
    store = Store()
    for one in (workflow("young", age=2), workflow("old", age=1), workflow("leaving", age=0, deleting=True)):
        store.put(one)
    owner = store.owner(Kind.WORKFLOW, "w")
    assert owner is not None
    assert owner.key.name == "old"
    assert names(store.drop(Key(Kind.WORKFLOW, "old"))) == {"young", "leaving"}


def test_triggers_stand_behind_the_workflows_own_the_oldest_first() -> None:
    own = {"type": "schedule", "rate": "1 hour"}
    base = resource(Kind.WORKFLOW, "w", {"workflow": {"id": "w", "triggers": own}})
    found = composed(base, [trigger("b", age=2), trigger("a", age=1), trigger("gone", deleting=True)])
    document = msgspec.json.decode(found.source.data)["workflow"]
    assert [each.get("key") for each in document["triggers"]] == [None, "a", "b"]
    assert found.triggers == {"a": "uid-a/1", "b": "uid-b/1"}
    assert composed(base, []).digest != found.digest


def test_why_a_definition_is_published() -> None:
    published = {"digest": "d", "etag": SEEN.etag}
    assert publishing("d", {}, None) is Reason.NEW
    assert publishing("d", {}, SEEN) is Reason.NEW
    assert publishing("e", published, SEEN) is Reason.CHANGED
    assert publishing("d", published, None) is Reason.DRIFTED
    assert publishing("d", published, Seen(3, "q", '"3-q"')) is Reason.DRIFTED
    assert publishing("d", published, SEEN) is None
