"""What formulas see, and values made of values.

Names to values (`evaluation`), the variables and active states of the charts around a place (`visibility`), the parts
of a value that are read (`pruning`), many values to one (`aggregation`), what a graph yields (`outputs`), durations.

Pure functions over plans and values; they never know a turn. Workers use them too, and compute the same.
"""
