"""The compiler: a workflow definition becomes a plan, in five stages, each a folder, each from data to data.

    text ──definition.load──▶ definition
      collect   the graphs and charts, flat and numbered; every template and expression compiled, its names noted
      shape     each graph gets its links: what `dependencies`, `edges`, targets and data say of u→v is one link;
                what a switch selects is run by it alone; who waits for a parallel node waits for its branches' ends;
                what is only read, orders; cycles are refused
      names     every name gets the source of its value: node, variable, input, event …
      check     what is wrong or dubious: nodes, joins, types of values, states and transitions, triggers, early reads
      build     ──▶ plan: the paths that decisions read, graphs, charts, triggers

`pipeline` calls the stages in this order. `kinds` holds what is special about each type of node and each action; every
stage asks it and none knows a type itself. `support` refuses what cannot run yet and warns of what does not act yet;
`rules` lists every finding; `report` collects them.

Stages report what is wrong and go on as far as they can, so that an author sees everything at once; there is a plan if
and only if no finding is an error. Of a definition with errors they get what could be read and its gaps: in doubt they
are silent, so that nothing is reported that merely follows from another error. The same text always gives the same
plan. The work of every stage is linear in nodes, links, states and names, apart from sets of nodes, which are bits of
integers (a union of two costs 1,250 bytes at 10,000 nodes).

Imports `definition`, `language`, `plan` and `findings`. It must never know about storage, execution or the clock; what
it knows of agents and tools comes in as a value (`plan.catalogue`).
"""

from workflow_runtime.compiler.pipeline import Compilation, compile_or_raise, compile_workflow, strict

__all__ = ["Compilation", "compile_or_raise", "compile_workflow", "strict"]
