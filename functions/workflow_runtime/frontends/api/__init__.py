"""The HTTP API: API Gateway v2 events in, answers out.

In the order a request meets them: `request` (event → method, path, headers, bytes) → `application` (Powertools'
resolver finds the route among `routes` and validates `parameters`; the operation runs; errors become `problems`) →
`workflows`, `executions`, `journal`, `events`, `control`, `graphs` (the operations, over the services) with `bodies`
(YAML, JSON), `http` (ETags, pages, slices), `waiting` (long polls) → `answers`. `models` and `operator_models` describe
it all; `openapi` writes that down.

The API never advances an execution: it validates, stores, and pokes mailboxes. It imports services,
`drawing` and the plan, never a backend. Nothing in it blocks the event loop: port calls go through `Ports.offload`,
drawings are made in a thread.
"""
