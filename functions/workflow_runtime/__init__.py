"""Agent Workflow Runtime: workflows of AI agents and tools, written in YAML, run on AWS serverless services.

One idea holds it together: **an execution is an actor.** Its mailbox is a FIFO queue group, its mind is the pure
function ``advance(plan, state, events) -> Decision(state, commands)``, its memory is one versioned item in DynamoDB.
Everything else is plumbing around that function.

The tour, in the order data meets the parts:

1. `definition`    YAML text becomes a typed definition, with positions; what is wrong becomes findings.
2. `expressions`   the language inside ``${…}``: compiled once, bounded, nothing but JSON.
3. `compiler`      the definition becomes a `plan`, in stages: edges, joins, names, decisions.
4. `services.catalog`, `services.starter`   the plan is stored under its hash; an execution is a header in the table.
5. `engine`        **start reading at `engine.advance`.** Pure: events in, a new state and commands out. Graphs and
   charts are scopes of one tree (`engine.tree`), inside each other to any depth; `engine.machine` interprets charts.
6. `services.dispatcher`   load, advance, commit, publish: the only writer of execution state.
7. `services.node_runner`  in a worker pool: claim, read, run, record, report. What runs is an agent (`agents`), a tool
   (`tooling`) or a mock (`mocks`), all behind `invocation.Invoker`.
8. `services.documents`    what people see of an execution.
9. `services.ingest`       events of the bus come in: triggers (matched by `patterns`) start executions, or find those
   that wait for a correlation key. `services.signalling` takes events for one execution, `services.webhooks` signed
   requests.
10. `services.timers`      what shall happen later: a delayed message up to 15 minutes, a schedule beyond.
   `services.sweep` finds what got lost, `services.dead_letters` records what was given up.

The doors, from outside in: `cli` is ``awr``; `client` the SDK (`WorkflowEngine`); `testing` the pytest plugin; `dev` is
``awr dev``, which serves over HTTP what `api` answers.

Underneath: `ports` (what the services need of the world), `storage` (what the one table holds), and two implementations
of the ports, `aws` and `local` (SQLite; its `pump` plays Lambda's pollers). `topology` states queues and functions
once, as data; `handlers` (beside this package) are the Lambda functions; `runtime`, `assembly` and `local_runtime` put
it all together.

Glossary
--------
definition    what an author writes; compiled to a **plan**, which never changes and is named by its hash
execution     one run of a plan, with its own state, journal and outcome
node          a box of the graph; a **node run** is one try at it (an **attempt**), recorded under path and **serial**
scope         what starts, completes, fails and yields by one set of rules: a graph, or a **chart** (a state machine)
state         a place of a chart; the active ones are its **configuration**. A **transition** has an event, a **guard**
              and **actions**; all that one event brings about is a **macrostep**
signal        an event from outside for one execution; a **timer** is one from time
edge          from a node to one that waits for it; once its source ended it is **alive** or **dead**
join          when a node with several incoming edges runs
event         a fact about the past, for a mailbox; a **command** is an order, carried out once its commit is stored
trigger       what starts executions from outside, or carries events to those that wait for a **correlation key**
journal       the commits of an execution: events taken, commands given; replaying it gives the state
claim, lease  a worker's right to a node run, and how long a silent worker is believed to live
worker pool   a queue and the Lambda that serves it: ``agent``, ``tool``
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workflow_runtime.frontends.client import SyncWorkflowEngine, WorkflowEngine

__all__ = ["SyncWorkflowEngine", "WorkflowEngine"]


def __getattr__(name: str) -> Any:
    """The SDK, imported when it is first used: the Lambda functions never load it."""
    if name in __all__:
        from workflow_runtime.frontends import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
