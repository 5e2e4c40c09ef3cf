"""Charts in the compiler: from the states of a definition to the charts of a plan.

    tree      the states flat, in document order, with their kinds; what leads out of each; its actions
    sites     every template and expression of a chart
    checks    names, places and shapes of states and targets
    reach     what can never be entered, taken or ended
    assembly  ──▶ `ChartPlan`

The graphs inside charts go through the same stages as the one at the top (see the package above).
"""
