"""Every bound of the language, each with its reason."""

SOURCE_BYTES_MAX = 4 * 1024
"""One expression, in UTF-8. Longer ones belong in a tool."""

DEPTH_MAX = 50
"""Brackets, calls, prefixes and branches inside each other."""

HEIGHT_MAX = 180
"""Operands of operators inside each other: more than three for each of those brackets. Parser, compiler and evaluation
recurse two or three times for each, and a few times for each bracket: together with the depth of values and queries,
less than 700 of the 1,000 calls that Python allows in each other."""

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
"""What runs once per element (the body of ``filter`` and its like, the steps after ``*``) costs a step per element for
every 16 operations in it."""

CALL_OPERATIONS = 4
"""A call takes as long as that many operations."""

MEMORY_BYTES_MAX = 64 * 1024 * 1024
"""What one evaluation makes, counted as it makes it, also what it drops at once: short texts take far more memory than
they have characters. A worker has 512 MB for ten nodes at once."""

VALUE_BYTES = 64
"""Of memory, for a text, a list or an object itself, and for an entry of an object."""

ELEMENT_BYTES = 40
"""Of memory, for an element of a list: its place, and a number that stands there."""

PARSED_BYTES_PER_CHARACTER = 24
"""Of memory, for JSON that is parsed: ``{}`` and its comma are 72 bytes."""

INTEGER_MIN = -(2**63)
INTEGER_MAX = 2**63 - 1
"""Integers that are computed or written stay within 64 bits: every JSON reader agrees on them and no product can
grow."""

TEMPLATE_DEPTH_MAX = 100
"""Nesting of a template's value; above the 64 levels that a file may have."""

PATTERN_CHARACTERS_MAX = 1000
"""A regular expression for ``matches``."""

PATTERN_MEMORY_BYTES_MAX = 256 * 1024
"""What re2 may use for one compiled pattern, and again for its automaton: at most some 11,000 instructions, which take
milliseconds to compile."""

PATTERNS_CACHED_BYTES_MAX = 16 * 1024 * 1024
"""Of compiled patterns that a process keeps, with the automatons they may get."""

QUERY_CHARACTERS_MAX = 1000
"""A JMESPath query."""

QUERY_PARTS_MAX = 60
"""Brackets, projections and operators of a JMESPath query: all of them may stand in each other, and its parser and
interpreter recurse four times for each."""

COMPILED_BYTES_PER_CHARACTER = 260
"""What a compiled expression takes, closures and all, by the length of its source: measured, at most."""

EXPRESSIONS_CACHED_BYTES_MAX = 32 * 1024 * 1024
"""Of compiled expressions that a process keeps, and once more of templates' strings."""
