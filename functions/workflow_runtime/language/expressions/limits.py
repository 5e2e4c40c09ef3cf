"""Every bound of the language (language §3.1, "Bounds"), each with its reason."""

SOURCE_BYTES_MAX = 4 * 1024
"""One expression, in UTF-8. Longer ones belong in a tool."""

DEPTH_MAX = 50
"""Brackets, calls, prefixes and branches inside each other: parser, compiler and evaluation recurse once or a few
times per level."""

STEPS_MAX = 100_000
"""Elements visited by one evaluation of one expression; a step is at most about a microsecond of work."""

TEMPLATE_STEPS_MAX = 1_000_000
"""Steps of all expressions of one template together, so that many of them cannot add up to minutes."""

RESULT_BYTES_MAX = 1024 * 1024
"""A computed result (as JSON, in UTF-8), each computed text on the way, and all that one template computes together."""

CHARACTERS_PER_STEP_SHIFT = 7
"""Texts cost a step per 2**7 characters that are read or made, so that all texts of an evaluation stay below 13
million characters."""

DOUBTS_MAX = 20
"""Comparisons that one evaluation notes because only their types decided them; they are for people to read."""

OPERATIONS_PER_STEP = 16
"""The body of ``filter`` and its like costs a step per element for every 16 operations in it."""

INTEGER_MIN = -(2**63)
INTEGER_MAX = 2**63 - 1
"""Integers that are computed or written stay within 64 bits: every JSON reader agrees on them and no product can
grow."""

TEMPLATE_DEPTH_MAX = 100
"""Nesting of a template's value; above the 64 levels that a file may have."""

PATTERN_CHARACTERS_MAX = 1000
"""A regular expression for ``matches``."""

PATTERN_MEMORY_BYTES_MAX = 1024 * 1024
"""What re2 may use for one compiled pattern and its automaton."""

QUERY_CHARACTERS_MAX = 1000
"""A JMESPath query."""
