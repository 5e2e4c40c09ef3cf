"""Freezes: switches that hold back new starts of a workflow, new runs of an agent, or both of all, and lose nothing.

Theory of operation. A switch is an item of the table. The dispatcher looks at the switches before it begins an
execution, workers before they claim a run; both through a cache of a few seconds, so that it costs no call per node
(`services.looks`). What a switch holds back waits in a line, as if for a limiter that is paused (`limits`): a freeze
closes the gate of that line as ``awr limits pause`` closes a limiter's, and a thaw opens it, so that the pump of the
line sends all of it on, in order. Nobody polls, and nothing waits in a queue.

Why nothing is lost, and nothing stays: the switch is written first, and says what people want; the gate follows. Who
joins the line looks at its gate alone. If that is open, because of a thaw that he has not seen or of a freeze that has
not come to it, he has a pump begin, which reads the switch and closes the gate or sends him on. Who meets
what was sent on reads the switches as they are now, and holds it again if one was set anew.

A workflow's frozen executions are `pending`; the frozen runs of an agent stay `ready` and wait for `frozen`. Both can
be cancelled. Time goes on: a timeout of the whole execution counts from its start, one of a node from its run.
"""
