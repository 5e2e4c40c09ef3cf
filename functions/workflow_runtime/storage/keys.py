"""Keys of the one table. Numbers are zero-padded; text of authors and users is hashed when long or not ASCII.

The state's sort key stands in the journal's range, behind all entries: one query from the end reads the state and the
newest entry together (`executions.ExecutionStore.load`).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.ports import Key

DUE = "DUE"
HEADER = "HEADER"
INPUT = "INPUT"
DEAD_PREFIX = "DEAD#"
DEAD_LETTERS = "DEAD_LETTERS"  # index partition of all dead letters, which are few
JOURNAL_PREFIX = "J#"
PROGRESS = "PROGRESS"
HELD_PREFIX = "HELD#"
STATE = "J#STATE"  # sorts after every J#<digits>
RUN_PREFIX = "RUN#"
TURN_PREFIX = "T#"  # of sort keys in the partition of a session
STEP_PREFIX = "STEP#"
OUTBOX_PREFIX = "OUT#"
WATCHED = "watch_until"  # attribute of headers and runs: until when somebody watches what agents write
META = "META"
PLAN_PART = "PLAN#"
SOURCE_PART = "SOURCE#"
FREEZES = "FREEZE"  # partition of all switches that freeze something
APPROVAL_PREFIX = "APPROVAL#"
OPEN_APPROVALS = "APPROVALS#open"  # index partition
ENDED_APPROVALS = "APPROVALS#ended"  # index partition
LIMITERS = "LIMIT#"  # begins the partitions of limiters, of which functions have rights of their own
LIMITER_RULE_PREFIX = "LIMIT#"  # of sort keys there: rules of limiters, which are read with the switches
AGENT_PREFIX = "AGENT#"  # of sort keys beside the switches: agents that were published, read with them
EXPOSED = "EXPOSED#mcp"  # partition of the workflows that the MCP server offers
WAITER_PREFIX = "W#"
WORKFLOWS = "WORKFLOWS"  # index partition of all published workflows
EXPIRES = "expires_at"  # attribute with the epoch seconds from which DynamoDB may delete an item (`service_limits`)
READABLE_CHARS_MAX = 200  # a sort key ends at 1,024 bytes; longer or non-ASCII text is hashed
SAFE_TEXTS_CACHED_MAX = 4096  # paths of the nodes that run now; they are asked for a few times each


@lru_cache(SAFE_TEXTS_CACHED_MAX)
def safe(text: str) -> str:
    """``text`` if it is short ASCII without the separators of keys, else a hash of it (marked by its length and a
    ``~``).
    """
    if (
        len(text) <= READABLE_CHARS_MAX
        and text.isascii()
        and text.isprintable()
        and "#" not in text
        and "~" not in text
    ):
        return text
    return "~" + hashlib.sha256(text.encode()).hexdigest()[:40]


def named(workflow_id: str) -> str:
    """A workflow's id in keys: ids that look the same are the same."""
    return safe(normalized(workflow_id))


def execution(execution_id: str, sort: str) -> Key:
    return Key(f"EX#{execution_id}", sort)


def input(execution_id: str, replaced: int = 0) -> Key:
    """Input and variables; or those of this number, which replaced earlier ones."""
    return execution(execution_id, f"{INPUT}#{replaced:06d}" if replaced else INPUT)


def journal(execution_id: str, version: int) -> Key:
    return execution(execution_id, f"{JOURNAL_PREFIX}{version:012d}")


def run(execution_id: str, path: str, serial: int) -> Key:
    return execution(execution_id, f"{RUN_PREFIX}{safe(path)}#{serial:06d}")


def steps(path: str, visit: int) -> str:
    """What the sort keys of the steps of an agent's visit begin with."""
    return f"{steps_of(path)}{visit:06d}."


def steps_of(path: str) -> str:
    """The same of all its visits; the visit's number follows, and a full stop."""
    return f"{STEP_PREFIX}{safe(path)}#"


def step(execution_id: str, path: str, visit: int, log: int, name: str, ordinal: int) -> Key:
    """A model request or a tool call of an agent, in its visit's log of this number."""
    return execution(execution_id, f"{steps(path, visit)}{log:03d}#{safe(name)}#{ordinal:06d}")


def live_of(execution_id: str) -> str:
    """The partition of what an execution's agents are writing."""
    return f"LIVE#{execution_id}"


def live(execution_id: str, path: str, serial: int, seq: int) -> Key:
    return Key(live_of(execution_id), f"{safe(path)}#{serial:06d}#{seq:06d}")


def session(agent: str, tenant: str, id: str) -> str:
    """The partition of a session of an agent."""
    return f"SESSION#{safe(agent)}#{safe(tenant)}#{safe(id)}"


def session_head(agent: str, tenant: str, id: str) -> Key:
    """Who works on it, and how much of it counts."""
    return Key(session(agent, tenant, id), "HEAD")


def session_listing(shard: int) -> str:
    """A partition of the list of all sessions."""
    return f"SESSIONS#{shard:02d}"


def listed_sessions(agent: str | None, tenant: str | None) -> str:
    """What the sort keys there begin with, of an agent and, of these, of a tenant."""
    if agent is None:
        return ""
    return f"{safe(agent)}#" if tenant is None else f"{safe(agent)}#{safe(tenant)}#"


def session_turn(agent: str, tenant: str, id: str, number: int) -> Key:
    return Key(session(agent, tenant, id), f"{TURN_PREFIX}{number:09d}")


def dead(execution_id: str, identity: str) -> Key:
    return execution(execution_id, f"{DEAD_PREFIX}{safe(identity)}")


def dead_listing(sent: str, execution_id: str, sort: str) -> Key:
    """Index key of a dead letter: all of them in the order of sending."""
    return Key(DEAD_LETTERS, f"{sent}#{execution_id}#{sort}")


def applied(execution_id: str, identity: str) -> Key:
    """The mark that an event from outside was taken."""
    return execution(execution_id, f"APPLIED#{identity}")


def held_event(execution_id: str, number: int) -> Key:
    """An event that is held while the execution is suspended."""
    return execution(execution_id, f"{HELD_PREFIX}{number:012d}")


def unaddressed_dead(identity: str) -> Key:
    """A dead letter that names no execution."""
    return Key("DEAD", safe(identity))


def approval(execution_id: str, number: int) -> Key:
    """What people were asked, by its number in the execution."""
    return execution(execution_id, f"{APPROVAL_PREFIX}{number:012d}")


def approvals(execution_id: str, number: int, asked_at: int, *, is_open: bool) -> Key:
    """Index key of an approval: those that are open, and those that are not, by the time they were asked. People answer
    far fewer than the 1,000 a second that a partition takes."""
    return Key(OPEN_APPROVALS if is_open else ENDED_APPROVALS, f"{asked_at:015d}#{execution_id}#{number:012d}")


def task(hash: str) -> Key:
    """A task token, by its hash."""
    return Key(f"TASK#{hash}", "TASK")


def due_shard(shard: int) -> str:
    """Index partition of executions by when they are to be looked after."""
    return f"DUE#{shard}"


def outbox(execution_id: str, id: str) -> Key:
    """What is to be sent to a queue or a bus, by its id."""
    return execution(execution_id, f"{OUTBOX_PREFIX}{safe(id)}")


def outbox_shard(shard: int) -> str:
    """Index partition of what was not sent right after its record."""
    return f"OUTBOX#{shard}"


def committed(record: Key) -> Key:
    """The mark that a write of another table was done for a record that is not in the table itself."""
    return Key(record.partition, f"DONE#{record.sort}")


def subscriptions(event: str, key: str) -> str:
    """The partition of those who wait for an event under a correlation key."""
    return f"SUB#{safe(event)}#{safe(key)}"


def subscription(event: str, key: str, workflow_id: str, execution_id: str, route: str) -> Key:
    """``route``: digest of the trigger that brings the event; "" in what was stored before subscriptions had one."""
    sort = f"{named(workflow_id)}#EX#{execution_id}"
    return Key(subscriptions(event, key), f"{sort}#{route}" if route else sort)


def owner(workflow_id: str, key: str) -> Key:
    """The one running execution that a trigger with ``start_if_none`` started for a correlation key."""
    return Key(f"KEY#{named(workflow_id)}#{safe(key)}", "OWNER")


def triggers(topic: str) -> str:
    """The partition of the triggers that take events of a topic (``*``: of any)."""
    return f"TRIGGERS#{safe(topic)}"


def schedule(workflow_id: str, trigger: str) -> Key:
    """The mark that the schedule of a trigger (by its digest) stands."""
    return Key(f"WF#{named(workflow_id)}", f"SCHEDULE#{trigger}")


def handed_over(workflow_id: str, key: str, event_id: str) -> Key:
    """Where an event went that starts an execution unless one has its key."""
    return Key(owner(workflow_id, key).partition, f"EVENT#{safe(event_id)}")


def event_key(execution_id: str, key: str) -> Key:
    """What a caller's key was used for."""
    return execution(execution_id, f"EVENT#{safe(key)}")


def request_key(execution_id: str, key: str) -> Key:
    """What a request about the execution was answered, by the caller's key."""
    return execution(execution_id, f"REQUEST#{safe(key)}")


def freeze(scope: str) -> Key:
    """The switch that freezes a scope."""
    return Key(FREEZES, safe(scope))


def held_by(scope: str) -> str:
    """The partition of what an earlier version of the runtime holds under the switches of a scope."""
    return f"{FREEZES}#{safe(scope)}"


def limiter_rule(name: str) -> Key:
    return Key(FREEZES, f"{LIMITER_RULE_PREFIX}{safe(name)}")


def limiter_names(name: str) -> str:
    """The partition of what the values of a limiter's key were."""
    return f"{LIMITERS}{safe(name)}"


def limiter_name(name: str, key: str) -> Key:
    return Key(limiter_names(name), f"KEY#{safe(key)}")


def gauge(name: str, key: str, shard: int = 0) -> Key:
    """How much of a limiter is taken, or of one of the shards of it; those who wait for it stand beside the first."""
    return Key(f"{limiter_names(name)}#{safe(key)}{f'#{shard}' if shard else ''}", "STATE")


def waiter(name: str, key: str, place: str) -> Key:
    return Key(gauge(name, key).partition, f"{WAITER_PREFIX}{place}")


def limiter_budget(name: str, key: str, window: int) -> Key:
    """What is drawn of a limiter's budget in the window that began then (epoch ms)."""
    return Key(gauge(name, key).partition, f"B#{window:015d}")


def budget(execution_id: str) -> Key:
    """What the models of an execution have used."""
    return execution(execution_id, "BUDGET#")


def visit_budget(execution_id: str, path: str, visit: int) -> Key:
    """What the model of an agent's visit has used."""
    return execution(execution_id, f"BUDGET#{safe(path)}#{visit:06d}")


def webhook_call(workflow_id: str, endpoint: str, signature: str) -> Key:
    """The mark that a signed request was taken."""
    return Key(f"HOOK#{named(workflow_id)}#{safe(endpoint)}#{signature}", "CALL")


def workflow(workflow_id: str, sort: str = META) -> Key:
    return Key(f"WF#{named(workflow_id)}", sort)


def counters(shard: int, workflow_id: str) -> Key:
    """Sums of what was counted of a workflow, or ("") of what belongs to none."""
    return Key(f"COUNTERS#{shard}", named(workflow_id) or "-")


def exposed(tool: str) -> Key:
    """A workflow that the MCP server offers, by the name of its tool."""
    return Key(EXPOSED, safe(tool))


def published_agent(agent_id: str) -> Key:
    """An agent that is or was published, beside the switches: whoever looks at these knows it, too."""
    return Key(FREEZES, f"{AGENT_PREFIX}{named(agent_id)}")


def agent_version(agent_id: str, version: int) -> Key:
    return Key(f"{AGENT_PREFIX}{named(agent_id)}", f"V#{version:08d}")


def workflow_version(workflow_id: str, version: int) -> Key:
    return workflow(workflow_id, f"V#{version:08d}")


def workflow_listing(workflow_id: str, created_at: int) -> Key:
    """Index key of a published workflow: all of them by the time of their first version."""
    return Key(WORKFLOWS, f"{created_at:015d}#{named(workflow_id)}")


def plan(plan_hash: str, part: str, chunk: int) -> Key:
    """A chunk of a plan, or of the source it was compiled from."""
    return Key(f"PLAN#{plan_hash}", f"{part}{chunk:04d}")


def listing(workflow_id: str | None, shard: int) -> str:
    """A partition of the list of a workflow's executions; None: of all executions."""
    return f"EXECUTIONS#{named(workflow_id)}#{shard:02d}" if workflow_id is not None else f"EXECUTIONS#{shard:02d}"


def started(started_at: int, execution_id: str) -> str:
    """An execution's place in lists: by the time of its start."""
    return f"{started_at:015d}#{execution_id}"
