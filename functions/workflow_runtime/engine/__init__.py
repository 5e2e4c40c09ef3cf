"""The engine: ``advance(plan, state, events) -> Decision``, the pure function at the heart of every execution.

What lives here, in the order an event meets it: `events` and `lifecycle` (what may come when), `advance` and its
working set `turn`, `results` (runs that ended), `graph` with `joins` and `concurrency` (what follows for other nodes),
`control` with `matching` and `aggregation` (nodes decided here), `orders` (nodes that workers run), `failure`,
`ending`; `state` is what is remembered, `commands` what is ordered, `replay` takes a journal again. `names` and
`pruning` are shared with the workers.

It imports `plan`, `expressions`, `errors`, `schemas`, msgspec and the standard library. It must never know the clock,
chance, or how anything is stored, sent or run.
"""
