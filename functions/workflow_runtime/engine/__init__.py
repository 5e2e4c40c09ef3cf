"""The engine: ``advance(plan, state, events) -> Decision``, the pure function at the heart of every execution.

What lives here, in the order an event meets it:

- `events` and `lifecycle` (what may come when), `advance`, and `turn`, what one `advance` works on and collects;
- `results` (runs that ended) and `signals` (events from outside, timers, children);
- `tree`: the live scopes, graphs (`scope`) and charts (`machine_scope`), and how they go on until nothing more follows;
- graphs: `graph` with `joins` and `concurrency` (what follows for other nodes), `control` with `matching` and
  `aggregation` (nodes decided here), `inside` (waits, charts inside nodes), `orders` (nodes that workers run),
  `recording`, `failure`;
- charts: `machine` (the interpreter) over `statechart` (SCXML's selection), `actions`, `runs` (graphs of states),
  `macrosteps` (what was done, as values);
- `routing` (correlation keys), `closing`, `ending`, `outlook` (what could happen next, for people).

`state` is what is remembered, `commands` what is ordered, `replay` takes a journal again. `names`, `sight` and
`pruning` say what formulas see.

It imports `plan`, `expressions`, `durations`, `errors`, `schemas`, msgspec and the standard library. It must never know
the clock, chance, or how anything is stored, sent or run.
"""
