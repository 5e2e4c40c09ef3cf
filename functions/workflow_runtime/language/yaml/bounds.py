"""How much one file may hold, counted before memory is spent on it."""

from __future__ import annotations

MAX_DEPTH = 64
"""Collections in each other."""
MAX_ALIAS_EXPANSIONS = 10_000
"""Values that aliases bring in, those inside them included: counted before anything is shared."""
MAX_ALIAS_CHARACTERS = 4 * 1024 * 1024
"""Text that aliases bring in: as much as a file may hold without them."""
MAX_VALUES = 200_000
"""Scalars and collections of a file: ten thousand nodes with thirty each; loads in 200 MB and a second or two."""
MAX_SCALAR_CHARACTERS = 1024 * 1024
MAX_KEY_CHARACTERS = 1_024
MAX_PROBLEMS = 100
"""Problems after which reading stops: so many have one cause."""
