"""Last stage: blocks, charts and decision paths of the plan."""
