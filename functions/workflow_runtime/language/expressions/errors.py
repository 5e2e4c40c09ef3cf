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
    ``path`` is the place of the string inside a template's value. ``quote``: what the message quotes of the value;
    everything else in it is the language's own, so that `without_quote` is fit for an expression that reads secrets.
    """

    def __init__(self, message: str, offset: int = -1, path: tuple[str | int, ...] = (), quote: str = "") -> None:
        super().__init__(message, offset, path, quote)
        self.said = message
        self.offset = offset
        self.path = path
        self.quote = quote

    @property
    def message(self) -> str:
        return f"{self.said}: {self.quote}" if self.quote else self.said

    def at(self, offset: int, path: tuple[str | int, ...] = (), *, of: str = "") -> EvaluationError:
        """The same error, of this place and of the function ``of``."""
        return EvaluationError(f"{of}(): {self.said}" if of else self.said, offset, path, self.quote)

    def without_quote(self) -> EvaluationError:
        """The same error, without anything of the value."""
        return EvaluationError(self.said, self.offset, self.path)

    def __str__(self) -> str:
        return f"{self.message} (character {self.offset + 1})" if self.offset >= 0 else self.message
