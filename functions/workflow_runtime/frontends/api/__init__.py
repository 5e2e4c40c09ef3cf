"""The HTTP API: API Gateway v2 events in, answers out.

In the order a request meets them: `request` (event → method, path, headers, bytes) → `application` (Powertools'
resolver finds the route among `routes` and validates `parameters`; the operation runs; errors become `problems`) →
`workflows`, `executions`, `events`, `graphs`, `health` (the operations, over the services) with `bodies` (YAML,
JSON), `preconditions` (ETags), `cursors` (pages), `waiting` (long polls), `journal` (history for people), `sizes`
(answers end at 6 MB) → `answers`. `models` describe it all; `openapi` writes that down.

The API never advances an execution: it validates, stores, and pokes mailboxes. It imports services, the compiler and
the engine's names, never a backend; nothing in it blocks the event loop: port calls go through `Ports.offload`.
"""
