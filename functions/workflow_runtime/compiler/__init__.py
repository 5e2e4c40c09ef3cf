"""The compiler: a workflow definition becomes a plan, in stages, each a function from data to data.

    text ──definition.load──▶ definition
      sources    its graphs and charts, flat: the graph at the top, those that states run, those that actions call
      support    refuses what cannot run yet, warns of what does not act yet
      sites      every template and expression is parsed; what it names is noted (`charts.sites`, `triggers`, too)
      drafts     each graph, from what it declares to its finished shape and numbers:
        mentions   `dependencies`, `edges`, control targets: all mentions of u→v become one link
                   a node that declares no link depends on the nodes it names
        gates      what a switch or condition selects is run by it alone
        branches   who waits for a parallel node waits for the ends of its branches
        ordering   a node waits for the other nodes it names; cycles are refused
      names      every name gets the source of its value: node, variable, input …
      checks     joins that cannot be met, nodes that cannot run, agents that do not exist
      charts     names, places and targets of states; what can never be entered, taken or ended
      triggers   schedules, filters and inputs
      timing     reads that may come too early
      decisions  the paths of outputs that the dispatcher's decisions read
      assembly   ──▶ plan (`charts.assembly`: its charts)

Stages report what is wrong and go on as far as they can, so that an author sees everything at once; there is a plan if
and only if nothing is an error. Of a definition with errors they get what could be read and its gaps: in doubt they are
silent, so that nothing is said that merely follows from another error. The same text always gives the same plan.

`analysis` and `graphs` look at finished plans: levels, the critical path, drawings.

Imports `definition`, `expressions`, `plan`, `findings`, `patterns`, `cron` and `durations`. It must never know about
storage, execution or the clock.
"""

from workflow_runtime.compiler.check.graphs import Known
from workflow_runtime.compiler.pipeline import Compilation, compile_or_raise, compile_workflow, strict

__all__ = ["Compilation", "Known", "compile_or_raise", "compile_workflow", "strict"]
