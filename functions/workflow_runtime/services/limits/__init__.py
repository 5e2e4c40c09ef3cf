"""Limits: what names a limiter begins when the limiter lets it, and costs nothing while it waits.

Theory of operation. Of each limiter there is one item, its *gauge* (`arithmetic`), and beside it the *line* of those
who wait. The engine knows nothing of this: it orders, and workers and the start of an execution ask for admission.

- *Take*: one conditional write books requests and tokens and a slot together, or nothing. A start that is booked some
  seconds ahead is sent again with that delay.
- *Line*: a worker that cannot begin puts its message into the line, and acknowledges it: nobody polls, nothing waits
  in a queue. While there is a line, nobody takes past it.
- *Grant*: a worker that gives a slot back takes it, in the same write, for the next in the line, and sends that
  message on; the *pump*, one message for a limiter with a line, does that for whatever time brings, and for whatever
  got lost.
- *Pause*: the gates of all gauges are closed, and the pump ends. What people want stands in the rule of the limiter, or
  in the switch of a freeze, and is written first: a pump that finds the gates otherwise closes or opens them.
- *Fence*: a grant has a larger number than every one before. Slots of workers are leased: a dead one's is taken back.
- *Begin*: a start counts when it happens. Who comes later than its rate leaves room for (`Rate.spacing`) books again,
  and looks once more right before the node's code, as the process may have stood still (`bookings`).
- *Shards*: a limiter of many starts a second, or many slots, has several gauges, each with its part; the line is one.
  The first gauge has the pump's marks; the pump tells the others that there is a line.

Why nothing gets lost: a message is acknowledged when its waiter is in the line; a waiter leaves the line when its
message was sent on; in between, a crash sends it twice, and a run is claimed once. Whatever joins a line marks it
(``q``) after it has taken its place, with a text of its own; the pump goes to sleep only if that mark is still the one
it saw before it found the line empty. Why there are never too many: every slot is an entry of the gauge, put there by
the condition that there is room; the same run cannot have two, but in two shards, of which one lapses unused.
"""
