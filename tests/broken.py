"""A port that is out of order."""

from __future__ import annotations

from typing import Any, NoReturn


class Broken:
    """Every call raises ``error``."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return self._refuse

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise self._error
