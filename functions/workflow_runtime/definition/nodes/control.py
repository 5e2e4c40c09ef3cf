"""Control nodes: they decide in the dispatcher, without a queue hop."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from workflow_runtime.definition import rules
from workflow_runtime.definition.fields import MISSING, Count, Expression, Flag, Literal, Text, Value
from workflow_runtime.definition.ids import Ids
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.registry import control_type
from workflow_runtime.definition.reading import Many, Model, problem
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.templates import has_template


class ControlNode(NodeDefinition):
    """Decides in the dispatcher, without a queue hop."""

    noun: ClassVar[str] = "a control node"

    subtype: Literal = Field(description="Which control node.")


class SwitchBranch(Model):
    """One way out of a switch: `{case, target}`, `{when, target}` or `{default}`."""

    noun: ClassVar[str] = "a branch of a switch"
    keeps_null: ClassVar = frozenset({"case"})

    case: Value = Field(MISSING, description="Value, or list of values (any of), that selects the target.")
    when: Expression | None = Field(None, description="Expression that selects the target.")
    target: Ids = Field((), description="Node or nodes that run.")
    default: Ids | None = Field(None, description="Node or nodes that run when no branch before was selected.")

    @property
    def values(self) -> tuple[Json, ...] | None:
        if self.case is MISSING:
            return None
        return tuple(self.case) if isinstance(self.case, list) else (self.case,)

    @property
    def is_default(self) -> bool:
        return self.default is not None

    @property
    def targets(self) -> tuple[str, ...]:
        return self.target if self.default is None else self.default

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = self.model_fields_set & {"case", "when", "default"}
        if len(given) != 1:
            found = "has none" if not given else "has " + ", ".join(f"`{name}`" for name in sorted(given))
            raise problem(rules.COMBINATION, f"a branch needs one of `case`, `when` and `default`; this one {found}")
        if self.is_default and self.target:
            raise problem(rules.COMBINATION, "a default branch names its target in `default` itself", at=("target",))
        if not self.targets:
            raise problem(rules.REQUIRED, "the branch has no target")
        if self.case == []:
            raise problem(rules.WRONG_KIND, "an empty list of cases never matches", at=("case",))
        if has_template(self.case) or any(has_template(value) for value in self.values or ()):
            hint = "Use `when: expression` to compare with something computed."
            raise problem(rules.TEMPLATE_IN_LITERAL, "a case is taken literally, but holds `${`", hint, ("case",))
        return self


@control_type("switch")
class SwitchNode(ControlNode):
    """Selects the targets of the first branch that matches."""

    noun: ClassVar[str] = "a switch"

    condition: Expression | None = Field(None, description="Expression whose value the cases are compared with.")
    branches: Annotated[tuple[SwitchBranch, ...], Many()] = Field(description="The ways out; first match wins.")

    @model_validator(mode="after")
    def _branches(self) -> Self:
        if not self.branches:
            raise problem(rules.REQUIRED, "a switch needs branches", at=("branches",))
        defaults = [index for index, branch in enumerate(self.branches) if branch.is_default]
        if len(defaults) > 1:
            raise problem(rules.COMBINATION, "a switch has at most one default", at=("branches", defaults[1]))
        cases = [index for index, branch in enumerate(self.branches) if branch.values is not None]
        if cases and self.condition is None:
            raise problem(rules.REQUIRED, "`case` compares with the switch's `condition`, which is missing")
        return self


@control_type("condition")
class ConditionNode(ControlNode):
    """Selects `then` or `else`."""

    noun: ClassVar[str] = "a condition"
    aliases: ClassVar = {**NodeDefinition.aliases, "else": "otherwise"}
    hidden: ClassVar = frozenset({"otherwise"})

    condition: Expression = Field(description="Expression.")
    then: Ids = Field((), description="Node or nodes that run when it is true.")
    otherwise: Ids = Field((), description="Node or nodes that run when it is false.")

    @model_validator(mode="after")
    def _some_target(self) -> Self:
        if not self.then and not self.otherwise:
            raise problem(rules.REQUIRED, "a condition needs `then` or `else`")
        return self


@control_type("parallel")
class ParallelNode(ControlNode):
    """Starts its branches side by side."""

    noun: ClassVar[str] = "a parallel node"

    branches: Ids = Field(description="First node of each branch.")
    wait_all: Flag = Field(True, description="Whether nodes after this one wait for all branches, or for the first.")
    cancel_rest: Flag = Field(False, description="With `wait_all: false`: the first to succeed cancels the others.")
    max_concurrency: Count = Field(0, description="Branches that run at once; 0 means no limit.")

    @model_validator(mode="after")
    def _sense(self) -> Self:
        if not self.branches:
            raise problem(rules.REQUIRED, "a parallel node needs branches", at=("branches",))
        first = {branch: i for i, branch in reversed(list(enumerate(self.branches)))}
        twice = next((i for i, branch in enumerate(self.branches) if first[branch] != i), None)
        if twice is not None:
            text = f"the branch `{self.branches[twice]}` stands twice"
            raise problem(rules.DUPLICATE_ID, text, "Keep one of them.", ("branches", twice))
        if self.cancel_rest and self.wait_all:
            raise problem(rules.COMBINATION, "`cancel_rest` only goes with `wait_all: false`", at=("cancel_rest",))
        return self


@control_type("pass")
class PassNode(ControlNode):
    """Its output is its rendered inputs."""

    noun: ClassVar[str] = "a pass node"


@control_type("fail")
class FailNode(ControlNode):
    """Fails its scope."""

    noun: ClassVar[str] = "a fail node"

    error: Text = Field("execution_error", description="Error type (template).")
    message: Text = Field("", description="Message (template).")


@control_type("succeed")
class SucceedNode(ControlNode):
    """Completes its scope now and cancels the rest."""

    noun: ClassVar[str] = "a succeed node"
    keeps_null: ClassVar = frozenset({"output"})

    output: Value = Field(MISSING, description="The scope's output (template).")
