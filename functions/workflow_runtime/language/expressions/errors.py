"""The two errors of the language: one for authors, before anything runs, and one for values that do not fit."""

from __future__ import annotations

from workflow_runtime.errors import WorkflowRuntimeError


class ExpressionSyntaxError(WorkflowRuntimeError):
    """Text that is not an expression or template.

    ``offset`` counts characters from the start of the source; ``hint`` says how to fix it ("" when there is nothing
    to say); ``path`` is the place of the string inside a template's value (keys and indices), empty for an expression.
    """

    def __init__(self, message: str, offset: int, hint: str = "", path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message, offset, hint, path)
        self.message = message
        self.offset = offset
        self.hint = hint
        self.path = path

    def __str__(self) -> str:
        text = f"{self.message} (character {self.offset + 1})"
        return f"{text}; {self.hint}" if self.hint else text


class EvaluationError(WorkflowRuntimeError):
    """A value that does not fit what is done with it, or a bound that was reached.

    ``offset`` points into the source (-1 while the place is not known yet: functions leave that to their call);
    ``path`` is the place of the string inside a template's value.
    """

    def __init__(self, message: str, offset: int = -1, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message, offset, path)
        self.message = message
        self.offset = offset
        self.path = path

    def __str__(self) -> str:
        return f"{self.message} (character {self.offset + 1})" if self.offset >= 0 else self.message
