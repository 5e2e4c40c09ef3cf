"""How many tokens texts are estimated at: where a request of a model reserves them, and where a budget is checked."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

ASCII_CHARS_A_TOKEN = 3  # tokenizers have about four for English prose, and fewer for code and JSON
TOKENS_A_CHAR = 1.5  # of other scripts: older tokenizers have more than one for a Chinese character


class Characters(NamedTuple):
    """Of texts that a request has: those in ASCII, and others."""

    plain: int = 0
    others: int = 0

    @property
    def tokens(self) -> int:
        """At the most, as far as that can be said without asking a provider."""
        return -(-self.plain // ASCII_CHARS_A_TOKEN) + round(self.others * TOKENS_A_CHAR)

    def and_(self, other: Characters) -> Characters:
        return Characters(self.plain + other.plain, self.others + other.others)


def characters_of(*texts: str) -> Characters:
    plain = sum(len(text.encode("ascii", "ignore")) for text in texts)
    return Characters(plain, sum(map(len, texts)) - plain)


def described(name: str, description: str | None, schema: dict[str, Any]) -> str:
    """What a model is told of a function that it may call, or of the output that it is to give."""
    return f"{name}{description}{json.dumps(schema)}"
