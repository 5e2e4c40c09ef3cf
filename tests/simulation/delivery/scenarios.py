"""Small workflows, one per shape that the delivery protocol must carry, and what of their outcome no schedule may
change.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.plan.plan import Plan

_HEAD = "workflow:\n  id: {id}\n  nodes:\n"

_NODES = {
    "chain": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: b, type: agent, agent: echo, inputs: {x: "${a.x}"}}
    - {id: c, type: tool, tool: echo, inputs: {x: "${b.x}"}}
""",
    "diamond": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: 左, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: 右, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: d, type: tool, tool: echo, inputs: {x: "${左.x}", y: "${右.x}"}}
""",
    "switch": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: sw, type: control, subtype: switch, dependencies: [a], condition: "${a.x}",
       branches: [{case: 1, target: one}, {default: other}]}
    - {id: one, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: other, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: end, type: control, subtype: pass, dependencies: [one, other], inputs: {x: "${previous.x}"}}
""",
    "fan_out": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: f1, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: f2, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: f3, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: f4, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: all, type: aggregation, strategy: collect, dependencies: [f1, f2, f3, f4]}
    - {id: z, type: tool, tool: echo, inputs: {x: "${all}"}}
""",
    "failing": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: bad, type: tool, tool: fail, dependencies: [a]}
    - {id: other, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: never, type: tool, tool: echo, dependencies: [bad, other], join: all_success}
    - {id: last, type: tool, tool: echo, dependencies: [bad, other], join: all_done, inputs: {x: 1}}
""",
    "any_join": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: b, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: c, type: tool, tool: fail, dependencies: [a]}
    - {id: d, type: tool, tool: echo, dependencies: [b, c], join: any, inputs: {x: "${previous.x}"}}
""",
    "undo": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}, compensate: {tool: echo, inputs: {x: "${inputs.x}"}}}
    - {id: b, type: agent, agent: echo, inputs: {x: "${a.x}"}, compensate: {tool: echo, inputs: {x: "${output.x}"}}}
    - {id: c, type: tool, tool: echo, inputs: {x: "${b.x}"}, compensate: {tool: fail, inputs: {x: "${output.x}"}}}
    - {id: bad, type: tool, tool: fail, dependencies: [b, c], inputs: {x: 1}}
""",
    "undo_race": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}, compensate: {tool: echo, inputs: {x: "${inputs.x}"}}}
    - {id: b, type: tool, tool: echo, inputs: {x: "${a.x}"}, compensate: {tool: echo, inputs: {x: "${output.x}"}}}
    - {id: c, type: agent, agent: echo, inputs: {x: "${a.x}"}, compensate: undo}
    - {id: bad, type: tool, tool: fail, dependencies: [a], inputs: {x: 1}}
    - {id: undo, type: tool, tool: echo, inputs: {x: "${inputs.x}", y: "${a.x}"}}
""",
    "undo_spare": """
    - {id: a, type: tool, tool: fail, inputs: {x: "${start}"}, fallback: {tool: echo},
       compensate: {tool: echo, inputs: {x: "${inputs.x}"}}}
    - {id: b, type: tool, tool: fail, dependencies: [a], inputs: {x: 2}, fallback: {agent: echo},
       compensate: {tool: echo, inputs: {x: "${output.x}", y: "${inputs.x}"}}}
    - {id: bad, type: tool, tool: fail, dependencies: [a], inputs: {x: 1}, fallback: {tool: fail}}
""",
    "undoable": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}, compensate: {tool: echo, inputs: {x: "${inputs.x}"}}}
    - {id: b, type: agent, agent: echo, inputs: {x: "${a.x}"}, compensate: {tool: fail, inputs: {x: "${output.x}"}}}
    - {id: c, type: tool, tool: echo, inputs: {x: "${b.x}"}, compensate: {tool: echo, inputs: {x: "${output.x}"}}}
""",
    "secret": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${secrets.TOKEN}", y: ["${start}"]}}
    - {id: b, type: tool, tool: echo, inputs: {x: "${a.y}"}}
    - {id: c, type: tool, tool: leak, dependencies: [b], inputs: {x: "${secrets.TOKEN}"}}
""",
}
_CHARTS = {
    "chart": """
workflow:
  id: chart
  type: state_machine
  initial_state: fetching
  final_states: [over]
  variables: {visits: 0}
  states:
    - name: fetching
      on_enter: [{set_variable: {name: visits, value: "${visits + 1}"}}]
      run:
        - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
        - {id: b, type: tool, tool: echo, inputs: {x: "${a.x}", visit: "${visits}"}}
      on_done: {target: choosing, actions: [{set_variable: {name: got, value: "${event.data.x}"}}]}
    - name: choosing
      always:
        - {condition: "${visits} > 1", target: over}
        - {target: regions}
    - name: regions
      type: parallel
      on_done: sending
      states:
        - name: left
          initial: l1
          states:
            - {name: l1, run: {id: c, type: tool, tool: echo, inputs: {x: "${got}"}}, on_done: l2}
            - {name: l2, type: final}
        - name: right
          initial: r1
          states:
            - {name: r1, run: {id: d, type: tool, tool: fail}, on_error: r2, on_done: r2}
            - {name: r2, type: final}
    - name: sending
      on_enter: [{send: {event: finish, data: {n: "${visits}"}}}]
      transitions: [{event: finish, target: over}]
""",
}
NAMES = (*_NODES, *_CHARTS)
_FAMILY = {
    "parent": """
workflow:
  id: parent
  type: state_machine
  initial_state: first
  final_states: [over]
  variables: {seen: []}
  states:
    - name: open
      initial: first
      transitions:
        - {event: put, actions: [{set_variable: {name: seen, value: "${seen + [event.data.n]}"}}]}
      states:
        - name: first
          on_enter: [{start_workflow: {workflow_id: child, result_event: came, input: {}}}]
          transitions: [{event: came, target: second}]
        - {name: second, after: [{delay: 10s, target: third}]}
        - {name: third, transitions: [{event: end, target: over}]}
""",
    "child": """
workflow:
  id: child
  nodes:
    - {id: w, type: control, subtype: wait, duration: 5s}
    - {id: p, type: control, subtype: pass, dependencies: [w], inputs: {x: 1}}
""",
}
"""An execution with a child, timers and events from outside."""
_GENERATIONS = {
    "top": """
workflow:
  id: top
  nodes:
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: 中, type: sub_workflow, workflow_id: middle, inputs: {start: "${a.x}"}}
    - {id: z, type: tool, tool: echo, inputs: {x: "${中.x}"}}
""",
    "impatient": """
workflow:
  id: impatient
  nodes:
    - {id: 中, type: sub_workflow, workflow_id: middle, inputs: {start: "${start}"}, timeout: 2s,
       retry_policy: {max_retries: 1, retry_delay: 1s}, on_error: [{errors: [timeout], do: continue}]}
    - {id: z, type: tool, tool: echo, dependencies: [中], inputs: {x: 1}}
""",
    "forgetful": """
workflow:
  id: forgetful
  nodes:
    - {id: 中, type: sub_workflow, workflow_id: bottom, wait: false, inputs: {start: "${start}"}}
    - {id: end, type: control, subtype: succeed, dependencies: [中], output: "${中.execution_id}"}
    - {id: slow, type: control, subtype: wait, duration: 1d}
""",
    "middle": """
workflow:
  id: middle
  nodes:
    - {id: m, type: tool, tool: echo, inputs: {x: "${start}"}, compensate: {tool: echo, inputs: {x: "${output.x}"}}}
    - {id: 下, type: sub_workflow, workflow_id: bottom, inputs: {start: "${m.x}"}}
  outputs: {x: "${下.x}"}
""",
    "bottom": """
workflow:
  id: bottom
  nodes:
    - {id: b, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: w, type: control, subtype: wait, duration: 5s, dependencies: [b]}
    - {id: c, type: agent, agent: echo, dependencies: [w], inputs: {x: "${b.x}"}}
  outputs: {x: "${c.x}"}
""",
}
"""Executions that start each other."""
STARTED = {"top": ("middle", "bottom")}
"""The others that an execution starts, by its workflow."""
_ASKING = {
    "escalating": """
workflow:
  id: escalating
  error_handlers: [{action: escalate}]
  nodes:
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: bad, type: tool, tool: fail, dependencies: [b], fallback: {tool: fail}}
    - {id: b, type: agent, agent: echo, inputs: {x: "${a.x}"}}
    - {id: c, type: tool, tool: echo, dependencies: [bad, b], join: all_success, inputs: {x: "${bad.x}", y: "${b.x}"}}
""",
    "people": """
workflow:
  id: people
  nodes:
    - {id: check, type: control, subtype: approval, assignees: [ann], timeout: 1d, on_timeout: continue}
    - {id: render, type: tool, tool: echo, dependencies: [check], inputs: {token: "${task_token}"},
       callback: {timeout: 1d}}
    - {id: z, type: tool, tool: echo, inputs: {x: "${render.x}"}}
""",
}
"""Executions that do not end by themselves: a person decides on a failure, or approves; another system completes."""
WAITS = 40
LISTENING = "listening"
LISTENING_SECONDS = 14 * 60
_WAITING = {
    LISTENING: """
workflow:
  id: listening
  type: state_machine
  initial_state: open
  final_states: [over]
  variables: {seen: []}
  states:
    - name: open
      transitions: [{event: put, actions: [{set_variable: {name: seen, value: "${seen + [event.data.n]}"}}]}]
      after: [{delay: 14m, target: over}]
    - {name: over, type: final}
""",
    "timed": """
workflow:
  id: timed
  timeout: 1h
  nodes: [{id: w, type: control, subtype: wait, duration: 30m}]
""",
    "waiting": """
workflow:
  id: waiting
  nodes:
    - {id: w, type: control, subtype: wait, event: paid, correlate: "${detail.order}", with: "${start}"}
    - {id: z, type: tool, tool: echo, dependencies: [w], inputs: {x: 1}}
""",
    "wide": "workflow:\n  id: wide\n  nodes:\n"
    + "".join(f"    - {{id: w{number}, type: control, subtype: wait, duration: 10h}}\n" for number in range(WAITS)),
}
"""One that notes events for a while; one that must end in time; one that waits for an event by its correlation key; one
whose first commit has much to be carried out."""
_PARTS = {
    "parted": """
workflow:
  id: parted
  nodes:
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - id: 各
      type: control
      subtype: loop
      items: [1, 2, 3]
      distribution: executions
      max_concurrency: 2
      body:
        - {id: b, type: tool, tool: echo, inputs: {x: "${item + a.x}"}}
        - {id: w, type: control, subtype: wait, duration: 5s, dependencies: [b]}
        - {id: c, type: agent, agent: echo, dependencies: [w], inputs: {x: "${b.x}"}}
      collect: ${c.x}
    - {id: z, type: tool, tool: echo, inputs: {x: "${各}"}}
""",
}
"""A loop whose passes run in an execution of their own."""
_LOOPS = {
    "loops": """
workflow:
  id: loops
  nodes:
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - id: 各
      type: control
      subtype: loop
      items: [1, 2, 3]
      max_concurrency: 2
      on_item_error: collect
      body:
        - {id: b, type: tool, tool: echo, inputs: {x: "${item + a.x}"}}
        - {id: 次, type: control, subtype: loop, times: 2, dependencies: [b],
           body: [{id: c, type: agent, agent: echo, inputs: {x: "${b.x + index}"}}]}
        - {id: 坏, type: tool, tool: fail, when: "${item == 2}", dependencies: [次]}
      collect: ${次[1].x}
    - {id: z, type: tool, tool: echo, inputs: {x: "${各}"}}
""",
}
"""Passes side by side and in turn, one of which fails."""
_AGENTS = {
    "agent": """
workflow:
  id: agent
  nodes:
    - {id: a, type: agent, agent: a, inputs: {x: "${start}"}}
""",
    "talk": """
workflow:
  id: talk
  nodes:
    - {id: a, type: agent, agent: a, inputs: {x: a}}
    - {id: b, type: agent, agent: a, inputs: {x: b}}
    - {id: c, type: agent, agent: a, dependencies: [a, b], inputs: {x: c}}
""",
}
_EFFECTS = {
    "effects": """
workflow:
  id: effects
  nodes:
    - {id: save, type: tool, tool: dynamodb_write, inputs: {table: orders, key: {id: "A7"}, add: {count: "${start}"}}}
    - {id: tell, type: tool, tool: sqs_send, dependencies: [save], inputs: {queue: work, body: {key: "${save.key}"}}}
    - {id: shout, type: tool, tool: publish_event, dependencies: [tell],
       inputs: {topic: saved, payload: {id: "${tell.id}"}, bus: other}}
    - {id: last, type: tool, tool: dynamodb_write, pool: agent, inputs:
       {table: orders, key: {id: "A7"}, set: {said: "${shout.id}"}, add: {count: 1}, needs: {count: 1}}}
""",
    "secret_effects": """
workflow:
  id: secret_effects
  nodes:
    - {id: tell, type: tool, tool: sqs_send, inputs: {queue: work, body: {key: "${secrets.TOKEN}"}}}
""",
}
"""Built-in tools whose effects are committed with their records, in one worker and in another."""
_LIMITED = {
    "limited": """
workflow:
  id: limited
  limits: {places: {concurrency: 2}, starts: {requests: 2/s, horizon: 1s}}
  nodes:
    - {id: a, type: tool, tool: echo, limiter: [places, starts], inputs: {x: "${start}"}}
    - {id: b, type: agent, agent: echo, limiter: places, inputs: {x: 1}}
    - {id: c, type: tool, tool: echo, limiter: places, inputs: {x: 2}}
    - {id: d, type: tool, tool: echo, limiter: places, priority: 1, inputs: {x: 3}}
    - {id: e, type: tool, tool: echo, limiter: [places, starts], dependencies: [a], inputs: {x: "${a.x}"}}
    - {id: f, type: tool, tool: echo, limiter: places, dependencies: [c], inputs: {x: "${c.x}"}}
""",
    "one_place": """
workflow:
  id: one_place
  limits: {place: {concurrency: 1}}
  nodes:
    - {id: a, type: tool, tool: echo, limiter: place, inputs: {x: "${start}"}}
    - {id: b, type: tool, tool: echo, limiter: place, inputs: {x: 2}}
    - {id: c, type: tool, tool: echo, limiter: place, dependencies: [a], inputs: {x: "${a.x}"}}
    - {id: d, type: tool, tool: echo, limiter: place, dependencies: [b], inputs: {x: "${b.x}"}}
""",
    "divided": """
workflow:
  id: divided
  limits: {places: {concurrency: 2, requests: 100/s}}
  nodes:
    - {id: a, type: tool, tool: echo, limiter: places, inputs: {x: "${start}"}}
    - {id: b, type: tool, tool: echo, limiter: places, inputs: {x: 1}}
    - {id: c, type: tool, tool: echo, limiter: places, inputs: {x: 2}}
    - {id: d, type: tool, tool: echo, limiter: places, inputs: {x: 3}}
    - {id: e, type: tool, tool: echo, limiter: places, dependencies: [a], inputs: {x: "${a.x}"}}
""",
    "paced": """
workflow:
  id: paced
  limits: {starts: {requests: 4/10min, horizon: 15m}}
  nodes:
    - {id: a, type: tool, tool: echo, limiter: starts, inputs: {x: "${start}"}}
    - {id: b, type: tool, tool: echo, limiter: starts, inputs: {x: 1}}
    - {id: c, type: tool, tool: echo, limiter: starts, inputs: {x: 2}}
    - {id: d, type: tool, tool: echo, limiter: starts, inputs: {x: 3}}
    - {id: e, type: tool, tool: echo, limiter: starts, inputs: {x: 4}}
    - {id: f, type: tool, tool: echo, limiter: starts, inputs: {x: 5}}
""",
    "segments_behind_limiters": """
workflow:
  id: segments_behind_limiters
  limits: {place: {concurrency: 1}}
  nodes:
    - {id: a, type: tool, tool: echo, limiter: place, inputs: {x: "${start}"}}
    - {id: b, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: c, type: tool, tool: echo, inputs: {x: "${b.x}"}}
    - {id: d, type: tool, tool: echo, limiter: place, inputs: {x: 2}}
    - {id: e, type: tool, tool: echo, inputs: {x: "${d.x}"}}
    - {id: f, type: tool, tool: echo, limiter: place, inputs: {x: "${e.x}"}}
""",
    "quotas": """
workflow:
  id: quotas
  nodes:
    - {id: a1, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: a2, type: tool, tool: echo, dependencies: [a1], inputs: {x: "${a1.x}"}}
    - {id: a3, type: tool, tool: echo, dependencies: [a2], inputs: {x: "${a2.x}"}}
    - {id: b1, type: tool, tool: echo, dependencies: [], inputs: {x: 1}}
    - {id: b2, type: tool, tool: echo, dependencies: [b1], inputs: {x: "${b1.x}"}}
""",
    "rated": """
workflow:
  id: rated
  limits: {starts: {requests: 1/s, horizon: 0.5s}}
  nodes:
    - {id: a, type: tool, tool: echo, limiter: starts, inputs: {x: "${start}"}}
    - {id: b, type: tool, tool: echo, limiter: starts, inputs: {x: 1}}
    - {id: c, type: tool, tool: echo, limiter: starts, inputs: {x: "${b.x}"}}
""",
}
"""Nodes that wait for limiters: of all kinds, of one place, of a rate alone, of a slow one, of one that is divided."""
_SEGMENTS = {
    "segment": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: b, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: 丙, type: tool, tool: echo, dependencies: [b], inputs: {x: "${previous.x}", y: "${a.x}"}}
    - {id: d, type: tool, tool: echo, inputs: {x: "${nodes.丙.output.y}"}}
    - {id: e, type: agent, agent: echo, inputs: {x: "${d.x}"}}
    - {id: f, type: tool, tool: echo, inputs: {x: "${e.x}", y: "${b.x}"}}
    - {id: g, type: tool, tool: echo, inputs: {x: "${f.x}", y: "${丙.y}"}}
""",
    "segments_that_fail": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: b, type: tool, tool: fail, dependencies: [a], on_error: [{errors: [broken], do: continue}], inputs: {x: 2}}
    - {id: c, type: tool, tool: echo, dependencies: [b], inputs: {x: 3}}
    - {id: d, type: tool, tool: fail, dependencies: [c], fallback: {tool: echo}, inputs: {x: 4}}
    - {id: e, type: tool, tool: echo, inputs: {x: "${d.x}"}}
    - {id: f, type: tool, tool: leak, dependencies: [e], inputs: {x: "${secrets.TOKEN}"}}
""",
    "segments_in_branches": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: b1, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: b2, type: tool, tool: echo, inputs: {x: "${b1.x}"}}
    - {id: c1, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: c2, type: tool, tool: echo, inputs: {x: "${c1.x}", y: "${a.x}"}}
    - {id: d, type: tool, tool: echo, inputs: {x: "${b2.x}", y: "${c2.y}"}}
    - {id: z, type: tool, tool: echo, inputs: {x: "${d.y}"}}
""",
    "segments_in_passes": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - id: 各
      type: control
      subtype: loop
      items: [1, 2, 3]
      max_concurrency: 2
      body:
        - {id: b, type: tool, tool: echo, inputs: {x: "${a.x}"}}
        - {id: c, type: tool, tool: echo, inputs: {x: "${item + b.x}"}}
        - {id: d, type: tool, tool: echo, inputs: {x: "${c.x + index}"}}
      collect: ${d.x}
    - {id: z, type: tool, tool: echo, inputs: {x: "${各}"}}
""",
}
_SEGMENTS |= {
    "segments_with_conditions": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: b, type: tool, tool: echo, when: "${a.x == start}", inputs: {x: "${a.x}"}}
    - {id: c, type: tool, tool: echo, when: "${b.x > 1}", on_skip: continue, dependencies: [b], inputs: {x: 3}}
    - {id: d, type: tool, tool: echo, dependencies: [c], inputs: {x: "${b.x}"}}
    - {id: e, type: tool, tool: echo, when: "${nodes.c.status == 'skipped'}", inputs: {x: "${d.x}"}}
""",
    "segment_of_agents": """
    - {id: a, type: agent, agent: echo, inputs: {x: "${start}"}}
    - {id: b, type: agent, agent: echo, inputs: {x: "${a.x}"}}
    - {id: 丙, type: agent, agent: fail, dependencies: [b], inputs: {x: 1}, fallback: {agent: echo}}
    - {id: d, type: agent, agent: echo, dependencies: [丙], inputs: {x: "${b.x}"}}
    - {id: e, type: agent, agent: echo, inputs: {x: "${d.x}"}}
""",
    "segment_undone": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}, compensate: {tool: echo, inputs: {x: "${inputs.x}"}}}
    - {id: b, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: c, type: tool, tool: echo, inputs: {x: "${b.x}"}, compensate: {tool: echo, inputs: {x: "${output.x}"}}}
    - {id: bad, type: tool, tool: fail, dependencies: [c], inputs: {x: 1}}
""",
    "segment_undone_meanwhile": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: b, type: tool, tool: echo, inputs: {x: "${a.x}"}, compensate: {tool: echo, inputs: {x: "${inputs.x}"}}}
    - {id: c, type: tool, tool: echo, inputs: {x: "${b.x}"}}
    - {id: d, type: tool, tool: echo, inputs: {x: "${c.x}"}, compensate: {tool: echo, inputs: {x: "${output.x}"}}}
    - {id: bad, type: agent, agent: fail, inputs: {x: 1}}
""",
    "segment_cancelled_and_undone": """
    - {id: race, type: control, subtype: parallel, branches: [quick, a], wait_all: false, cancel_rest: true}
    - {id: quick, type: agent, agent: echo, inputs: {x: 1}}
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}, compensate: {tool: echo, inputs: {x: "${inputs.x}"}}}
    - {id: b, type: tool, tool: echo, dependencies: [a], inputs: {x: "${a.x}"}}
    - {id: c, type: tool, tool: echo, inputs: {x: "${b.x}"}, compensate: {tool: echo, inputs: {x: "${output.x}"}}}
    - {id: bad, type: agent, agent: fail, dependencies: [race], inputs: {x: 1}}
""",
}
_SEGMENTS_THAT_WAIT = {
    "segment_that_waits": """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: b, type: tool, tool: ask, dependencies: [a], retry_policy: {max_retries: 2, retry_delay: 0s}}
    - {id: c, type: tool, tool: echo, inputs: {x: "${b.x}"}}
""",
}
"""Chains of tools, which a worker runs one after the other: with what fails in them, side by side, and in passes."""
SEGMENTS = (*_SEGMENTS, "segments_behind_limiters")
INPUT = {"start": 1}


@cache
def source(name: str) -> bytes:
    whole = _CHARTS | _FAMILY | _GENERATIONS | _ASKING | _WAITING | _PARTS | _LOOPS | _AGENTS | _EFFECTS | _LIMITED
    return (whole.get(name) or _HEAD.format(id=name) + (_NODES | _SEGMENTS | _SEGMENTS_THAT_WAIT)[name]).encode()


@cache
def plan(name: str) -> Plan:
    compiled = compile_workflow(source(name), file=name).plan
    assert compiled is not None, name
    return compiled


def outcome(name: str, document: dict[str, Any]) -> str:
    """What no crash, delay or order of deliveries may change."""
    nodes: dict[str, Any] = document["node_executions"]
    fixed = [document["status"], document["output"], document["error"]]
    if (
        name == "failing"
    ):  # whether `other` ended or was cancelled, and so what is seen of it, is the schedule's business
        fixed += [nodes[node]["status"] for node in ("a", "bad", "never", "last")]
    elif name == "undo_race":  # what had begun when the end came, and so is undone, is the schedule's business
        fixed += [document["compensation"], nodes["a"]["status"], nodes["bad"]["status"]]
        assert all(nodes[node]["status"] in ("compensated", "cancelled", "skipped") for node in ("b", "c"))
    elif name == "undo_spare":  # so it is with what runs in the place of `b`
        fixed += [document["compensation"], nodes["a"]["status"], nodes["bad"]["status"]]
        assert nodes["b"]["status"] in ("compensated", "cancelled", "skipped")
    elif name == "segment_undone_meanwhile":  # so it is how far the worker had come
        fixed += [nodes["bad"]["status"]]
        undoable = {nodes[node]["status"] for node in ("b", "d")}
        assert undoable <= {"compensated", "cancelled", "skipped"}
        assert document["compensation"] == "completed" or "compensated" not in undoable
    elif name == "segment_cancelled_and_undone":  # and which branch is the first
        fixed += [nodes["bad"]["status"]]
        undoable = {nodes[node]["status"] for node in ("a", "c")}
        assert undoable <= {"compensated", "cancelled", "failed", "skipped"}
        assert document["compensation"] == "completed" or "compensated" not in undoable
    elif name == "undo":
        fixed += [document["compensation"], [entry["status"] for entry in document["compensations"]]]
        fixed += [nodes[node]["status"] for node in nodes]
    elif name == "secret":
        fixed += [nodes[node]["status"] for node in nodes]
    else:
        fixed += [(nodes[node]["status"], nodes[node]["output"]) for node in nodes]
    return msgspec.json.encode(fixed).decode()
