"""What the runtime does, on the ports: one service per handler and one per question people ask.

- `messages`: what travels between the functions.
- `dispatcher` (load, advance, commit, publish) with `mailbox` (its batches), `knowledge` (what it must read to decide)
  and `publisher` (carries out commands).
- `node_runner` (claim, read, run, record) with `worker` (its queue), `rendering` (inputs) and
  `attempt_metrics`.
- `catalog` (publish a workflow), `starter` (start an execution), `documents` (show one) of `entries` (its nodes)
  and `charts` (states, transitions, what it listens to), `signalling` (send one an event).
- `ingest` (events of the bus, as `bus_events` reads them, to executions), `triggering` (triggers kept in step with the
  versions that have them) and `webhooks`.
- `timers` (start, cancel, deliver); `sweep` (finds what got lost) and `dead_letters` (records what was given up).
- `publishing` (create, replace, remove with preconditions) and `queries` (lists, nodes, history): what the API asks.

Services speak to `storage` and `ports`; they never see boto3, SQLite, environment variables or Lambda events.
"""
