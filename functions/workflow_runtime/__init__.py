"""Agent Workflow Runtime: workflows of AI agents and tools, written in YAML, run on AWS serverless services.

An execution is an actor: its mailbox is a FIFO queue group, its mind is the pure function
``advance(plan, state, events) -> Decision(state, commands)``, its memory is one versioned item in DynamoDB. Everything
else is plumbing around that function. The package has four storeys, entered from the top; a package imports only what
stands before it:

WRITE    `language`     YAML within bounds, expressions, durations, schedules, event patterns, JSON Schemas
         `definition`   what a workflow file may say, typed, with positions
         `compiler`     collect → shape → names → check → build: a definition becomes a plan
         `drawing`      a plan as Mermaid, DOT, text, SVG
DECIDE   `plan`         blocks, charts, formulas: immutable, named by its hash
         `engine`       **start reading at `engine.advance`**: scopes (graphs, charts), what they wait for, how they end
DO       `ports`        what the services need of the world
         `deployment`   queues, functions, settings, metrics, as data
         `storage`      what the one table holds
         `invokers`     what a worker calls: agents, tools, mocks, cassettes
         `services`     intake · dispatch · work · items · control · freeze · limits · catalog · views · tracing ·
                        upkeep
         `backends`     the ports on SQLite, on AWS, on simulated AWS
MEET     `runtime`      puts one together: on Lambda, in this process, in the background
         `frontends`    HTTP API, MCP, SDK, command line, servers, Kubernetes operator
         `testing`      the test kit and the pytest plugin (a public name, as are `sdk` and the two engines here)

The way of one execution through them: `compiler` makes a plan, `services.catalog` stores it under its hash;
`services.intake` creates the execution's header and puts a first message into its mailbox; `services.dispatch` loads
the state, lets `engine` advance it, commits, and publishes what was commanded; `services.work` claims a node's run in
a worker pool, has an invoker run it, records the result and reports it to the mailbox; `services.views` shows people
how far it is; `services.upkeep` finds what got lost.

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
join          when a node with several incoming edges runs; nodes in a row that wait for all of the same are a **layer**
event         a fact about the past, for a mailbox; a **command** is an order, carried out once its commit is stored
trigger       what starts executions from outside, or carries events to those that wait for a **correlation key**
journal       the commits of an execution: events taken, commands given; replaying it gives the state
claim, lease  a worker's right to a node run, and how long a silent worker is believed to live
worker pool   a queue and the Lambda that serves it: ``agent``, ``tool``
segment       nodes of a chain that one worker runs in turn, for one order and one report
express       an execution that one invocation runs whole and records once, at its end
session       the conversation with an agent that goes on from visit to visit, also in other executions
cassette      what models, tools and people said in an execution, for taking it again without them
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workflow_runtime.frontends.client import ResourceQuota, SyncWorkflowEngine, WorkflowEngine

__all__ = ["ResourceQuota", "SyncWorkflowEngine", "WorkflowEngine"]


def __getattr__(name: str) -> Any:
    """The SDK, imported when it is first used: the Lambda functions never load it."""
    if name in __all__:
        from workflow_runtime.frontends import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
