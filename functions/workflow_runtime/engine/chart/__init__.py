"""Charts: SCXML's interpretation of statecharts.

- `scxml`: which transitions are taken, which states are exited and entered: pure selection;
- `interpreter`: macrosteps over it, with the `actions` they take and the graphs that states `runs`;
- `scope`: one chart at work; `events`: an event as a chart takes it.

A graph that a chart runs is a scope like any other: this package never knows what is in it.
"""
