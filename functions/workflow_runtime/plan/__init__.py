"""The plan: what the compiler makes of a definition and the engine executes. Immutable, named by its hash, stored once.

A plan is a set of *blocks*, graphs of nodes and edges (`graph`), and of charts of states and transitions (`chart`),
that hold each other: a state may run a block, a node may hold a chart. Nodes and edges refer to each other by index
into their block's tuples, so that the engine's state is a byte per node and its bookkeeping is integer
arithmetic. What a node does is its *spec* (`specs`). Everything that was a template or an expression in the definition
is a *formula* (`formulas`): its source text and, per name in it, a binding that says where the value comes from. Names
are resolved by the compiler, never at run time.

Imports the standard library, msgspec and `expressions` only. A plan never knows how it is stored or run.
"""
