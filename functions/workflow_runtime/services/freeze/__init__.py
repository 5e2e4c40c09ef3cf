"""Freezes: switches that hold back new starts of a workflow, new runs of an agent, or both of all, and lose nothing.

Theory of operation. A switch is an item of the table. The dispatcher looks at the switches before it begins an
execution, workers before they claim a run; both through a cache of a few seconds, so that it costs no call per node
(`looks`). What a switch holds back becomes an item under it, and its message is acknowledged: nobody polls, and nothing
waits in a queue (`holding`). A thaw marks the switch, and then sends on what stands under it, page by page
(`release`). Nothing is lost, because of the order of things:

- *Hold*: put the item, then read the switches, not from the cache. If the switch still holds, acknowledge; if not, go
  on as if there were none. Either that read finds the mark of the thaw, and the worker that holds back goes on by
  itself; or it came before the mark, so that the item stood there when the thaw began to read items.
- *Release*: send the messages, then delete the items. A crash in between sends them again: a start is only a poke, an
  event has its id, an order its run, which only one worker claims.
- *Generations*: a switch that is set anew holds its items under another number. Who still releases for the one before
  deletes none of them, and stops when it sees the new one.

A workflow's frozen executions are `pending`; the frozen runs of an agent stay `ready` and wait for `frozen`. Both can
be cancelled. Time goes on: a timeout of the whole execution counts from its start, one of a node from its run.
"""
