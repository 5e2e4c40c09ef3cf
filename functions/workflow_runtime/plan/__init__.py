"""The plan: what the compiler makes of a definition and the engine executes. Immutable, named by its hash, stored once.

- `plan`: the whole, its encoding and its hash.
- `graph`, `edges`, `specs`: *blocks*, graphs of nodes and edges, and the *joins* of these; what a node does is its
  *spec*.
- `segments`: which nodes a worker may run one after the other.
- `chart`, `states`, `actions`, `chart_tree`: charts of states and transitions, and where states stand to each other.
- `formulas`: everything that was a template or an expression, with a *binding* per name that says where its value
  comes from. Names are resolved by the compiler, never at run time.
- `triggers`: what starts executions. `events`: which descriptors hear which event, and the runtime's own events.
- `catalogue`: the agents and tools there are; not part of a plan, but handed to the compiler.

Blocks and charts hold each other: a state may run a block, a node may hold a chart. Nodes, edges and states refer to
each other by index, so the engine's state is a byte per node and its bookkeeping is integer arithmetic.

Imports the standard library, msgspec and `language` only. A plan never knows how it is stored or run.
"""
