"""The engine: ``advance(plan, state, events) -> Decision``, the pure function at the heart of every execution.

Theory of operation. A turn is what one `advance` does, in five steps:

1. **take**: each event meets the table of its execution's status (`lifecycle`), which takes, ignores or refuses it;
2. **resolve**: an event that is taken goes to what waits for it (`arrivals`): the result of a run to its node, a
   timer or a child's end to its owner in the table of pending things, an event with a name to the first that hears it;
3. **settle**: what changed has consequences, in its scope and in others, until nothing more follows (`settling`);
4. **subscribe**: events that are now waited for under a key are ordered, others called off (`subscriptions`);
5. **decide**: the next state and the commands are the `Decision`; or `Needs`, if a step lacked values. Then all is
   thrown away, and the turn is taken again with them.

The modules in that order:

- `advance`, the one door; `events` and `commands`, what comes in and goes out; `lifecycle`, what may come when;
- `state`, what is remembered, and `scope_states`, of what is at work (`visits`: what can be undone; `codec`, `schema1`,
  `schema2`: how it is stored, long ones by `tables`, `pages`, `marks` and `alarms`); `turn`, the ledger of a turn;
  `scopes`, what is at work, loaded when touched; `pending`, everything that is waited for (`awaited`: its entries);
  `applied`, what was taken from outside; `macrosteps`, what charts did, as values;
- `arrivals`; `settling`, over two kinds of scopes: `graph` (nodes and edges) and `chart` (states and transitions). A
  chart runs scopes, a node may hold one; neither says how the other works;
- `requests`: what people ask of an execution (`suspending`, and `holding`: what comes meanwhile); `ending`: how
  executions end, over `compensation`; `subscriptions`;
- `values`: what formulas see, for workers too; `keeping`: which of it the state remembers;
- `preview` (what could happen next, for people) and `replay` (a `journal`, taken again).

It imports `plan`, `language`, `errors`, msgspec and the standard library. It must never know the clock, chance, or how
anything is stored, sent or run.
"""
