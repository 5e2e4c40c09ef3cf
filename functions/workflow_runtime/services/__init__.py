"""What the runtime does, on the ports: one service per handler, and one per question that people ask.

- `messages`: what travels between the functions; `mail` and `orders` send it; `timers` start, cancel and deliver;
  `patience`: calls that are tried for a while; `looks`: what every process reads every few seconds.
- `intake`: what comes in: starts, events of the bus, signals to one execution, webhooks.
- `dispatch`: one execution's mailbox: load, advance, commit, publish.
- `control`: requests of people to an execution as a whole, or to many: cancel, suspend, resume, retry, skip.
- `freeze`: switches that hold back starts and node runs, and what they hold.
- `limits`: how much may begin at once and in a time, and what it may cost; who has to wait stands in a line.
- `work`: one attempt of one node: claim, read, run, record, report.
- `catalog`: published workflows, with their triggers kept in step with them, and published agents.
- `sessions`: sessions of agents, for people; `session_ids`: how paths name them.
- `items`: items of loops that lie in files.
- `express`: executions that run in one invocation, on their way to it.
- `tracing`: executions as OpenTelemetry traces; `tally`: what deployed functions count, on its way to the table.
- `views`: what people and programs see of executions; there is one execution document.
- `upkeep`: the sweep, which finds what got lost, and the dead letters, which record what was given up.

Services read and write through `storage` and act through `ports`; they never see boto3, SQLite, environment variables
or Lambda events.
"""
