"""The tree to closures, once per source. Also says whether a result is new (then it is bounded) or only picked."""

from __future__ import annotations

from collections.abc import Callable

from workflow_runtime.language.expressions import operators, paths
from workflow_runtime.language.expressions.errors import EvaluationError, ExpressionSyntaxError
from workflow_runtime.language.expressions.functions import FUNCTIONS, ITEM_FUNCTIONS
from workflow_runtime.language.expressions.functions.query import check_query, compile_pattern, found
from workflow_runtime.language.expressions.limits import (
    CALL_OPERATIONS,
    ELEMENT_BYTES,
    OPERATIONS_PER_STEP,
    VALUE_BYTES,
)
from workflow_runtime.language.expressions.operators import Evaluator
from workflow_runtime.language.expressions.scope import MISSING, Scope
from workflow_runtime.language.expressions.syntax import (
    Arithmetic,
    At,
    Call,
    Choice,
    Compare,
    Conditional,
    Item,
    Key,
    ListOf,
    Literal,
    Name,
    Negative,
    Node,
    Not,
    ObjectOf,
    Path,
    Star,
    sketch,
)
from workflow_runtime.language.expressions.values import kind, render_text, sequence
from workflow_runtime.language.json_values import Json


def builds(node: Node) -> bool:
    """Whether the value may be new rather than picked from the scope. A number, text or boolean that an operator
    made is bounded already."""
    match node:
        case Path():
            return Star in map(type, node.steps) or builds(node.base)
        case Name() | Literal() | Compare():
            return False
        case ListOf() | ObjectOf() | Arithmetic():
            return True
        case Call():
            return any(map(builds, node.arguments)) if FUNCTIONS[node.name].selects else True
        case Choice():
            return any(map(builds, node.operands))
        case Conditional():
            return builds(node.then) or builds(node.otherwise)
        case _:
            return False


def picks(node: Node) -> bool:
    """Whether it only picks values from the scope by fixed keys, or compares such: then compiling it cannot fail."""
    if isinstance(node, Path):
        return isinstance(node.base, Name) and {*map(type, node.steps)} == {Key}
    if isinstance(node, Compare):
        return picks(node.left) and picks(node.right)
    return isinstance(node, Name | Literal)


class Compiler:
    """Compiles one expression; ``operations`` counts what one evaluation of the tree so far does at most."""

    def __init__(self) -> None:
        self.operations = 0

    def compile(self, node: Node) -> Evaluator:
        """The closure of a node. Raises `ExpressionSyntaxError` for what only shows here (a broken pattern)."""
        self.operations += 1
        match node:
            case Literal(value):
                return lambda _: value
            case Name() | Path():
                return self.read(node)
            case Item():
                return lambda scope: scope.item
            case ListOf(items):
                return list_of(tuple(map(self.compile, items)))
            case ObjectOf(entries):
                return object_of(tuple((key, self.compile(value)) for key, value in entries))
            case Call():
                return self.call(node)
            case Not(operand):
                return operators.negation(self.compile(operand))
            case Negative(operand, offset):
                return operators.negative(self.compile(operand), offset)
            case Arithmetic(first, rest):
                return operators.arithmetic(
                    self.compile(first), [(symbol, self.compile(operand), offset) for symbol, operand, offset in rest]
                )
            case Compare():
                return self.compare(node)
            case Choice():
                return self.choice(node)
            case Conditional(condition, then, otherwise):
                return operators.conditional(self.compile(condition), self.compile(then), self.compile(otherwise))

    def choice(self, node: Choice) -> Evaluator:
        if node.operator == "??":
            return operators.first_present(tuple(map(self.asked, node.operands)))
        operands = tuple(map(self.compile, node.operands))
        return operators.both(operands) if node.operator == "and" else operators.either(operands)

    def compare(self, node: Compare) -> Evaluator:
        left, right, shown = self.compile(node.left), self.compile(node.right), sketch(node)
        constant: Json = node.right.value if isinstance(node.right, Literal) else MISSING
        if node.operator in ("==", "!="):
            negated = node.operator == "!="
            if constant is not MISSING:
                return operators.equality_to(left, constant, negated, shown)
            return located(operators.equality(left, right, negated, shown), node.offset)
        if node.operator in ("in", "not in"):
            return operators.membership(left, right, node.operator == "not in", node.offset, shown)
        if type(constant) in (int, float):
            return operators.order_number(node.operator, left, constant, shown)
        return located(operators.order(node.operator, left, right, shown), node.offset)

    # -- paths

    def read(self, node: Name | Path) -> Evaluator:
        probe = self.probe(node)
        if isinstance(node, Name):
            return paths.fixed_reader(node.name, (), probe, node.name)
        keys = tuple(step.key for step in node.steps if isinstance(step, Key))
        if isinstance(node.base, Name) and len(keys) == len(node.steps):
            return paths.fixed_reader(node.base.name, keys, probe, node.text)
        read = paths.reader(probe, node.text)
        return located(read, node.offset) if any(isinstance(step, Star) for step in node.steps) else read

    def probe(self, node: Node) -> Evaluator:
        """Like `compile`, but a path that leads nowhere yields `MISSING` and is not noted."""
        if isinstance(node, Name):
            return paths.name_probe(node.name)
        if not isinstance(node, Path):
            return self.compile(node)
        self.operations += len(node.steps)
        base = self.probe(node.base)
        first = node.steps[0]
        alias = node.base.name if isinstance(node.base, Name) and first == Key("output") else None
        return paths.path_probe(base, self.steps(node.steps), alias)

    def steps(self, steps: tuple[Key | At | Star, ...]) -> tuple[paths.Step, ...]:
        made: list[paths.Step] = []
        for position, step in enumerate(steps):
            match step:
                case Key(key):
                    made.append(paths.key_step(key))
                case At(index):
                    made.append(paths.index_step(self.compile(index)))
                case Star():
                    before = self.operations
                    rest = self.steps(steps[position + 1 :])
                    made.append(paths.star_step(rest, self.cost_since(before) + len(rest) // OPERATIONS_PER_STEP))
                    break
        return tuple(made)

    def asked(self, node: Node) -> Evaluator:
        """An operand of ``??``, ``default`` or ``coalesce``: it may lead nowhere without being noted."""
        return paths.quiet(self.probe(node)) if isinstance(node, Name | Path) else self.compile(node)

    def cost_since(self, before: int) -> int:
        """Steps per element of what was compiled since there were ``before`` operations."""
        return 1 + (self.operations - before) // OPERATIONS_PER_STEP

    # -- calls

    def call(self, node: Call) -> Evaluator:
        self.operations += CALL_OPERATIONS
        if node.name in ITEM_FUNCTIONS:
            return located(self.over_items(node), node.offset, node.name)
        first = node.arguments[0] if node.arguments else None
        if node.name in ("default", "coalesce"):
            return operators.first_present(tuple(map(self.asked, node.arguments)))
        if first is not None and node.name == "exists":
            probe = self.probe(first)
            return lambda scope: probe(scope) is not MISSING
        if first is not None and node.name == "required":
            return required(
                self.probe(first),
                first.text if isinstance(first, Path) else getattr(first, "name", "item"),
                node.offset,
            )
        arguments = tuple(map(self.compile, node.arguments))
        if node.name == "matches" and isinstance(node.arguments[1], Literal):
            return located(self.constant_pattern(arguments[0], node.arguments[1]), node.offset, node.name)
        if node.name == "jmespath" and isinstance(node.arguments[1], Literal):
            check_literal(check_query, node.arguments[1], "a query", "see jmespath.org")
        function = FUNCTIONS[node.name].call
        assert function is not None, f"{node.name} is a special form"
        return located(apply(function, arguments), node.offset, node.name)

    def constant_pattern(self, subject: Evaluator, pattern: Literal) -> Evaluator:
        source = check_literal(compile_pattern, pattern, "a pattern", "patterns follow RE2's syntax")
        return lambda scope: found(scope, subject(scope), source)

    def over_items(self, node: Call) -> Evaluator:
        """``filter`` and its like: the body runs per element with ``item`` bound, and is paid by its size."""
        values = self.compile(node.arguments[0])
        body: Evaluator = lambda scope: scope.item  # noqa: E731
        before = self.operations
        if len(node.arguments) == 2:
            second = node.arguments[1]
            if node.name == "count_by" and isinstance(second, Literal) and type(second.value) is str:
                second = Path(Item(second.offset), (Key(second.value),), f"item.{second.value}", second.offset)
            body = self.compile(second)
        cost = self.cost_since(before)
        collect = _COLLECTORS[node.name]

        def evaluate(scope: Scope) -> Json:
            elements = sequence(values(scope))
            scope.charge(len(elements) * cost)
            outer = scope.item
            result = collect(scope, elements, body)
            scope.item = outer
            return result

        return evaluate


def check_literal(check: Callable[[str], object], literal: Literal, what: str, hint: str) -> str:
    """The text of a literal that another language must understand. Raises `ExpressionSyntaxError`."""
    if type(literal.value) is not str:
        raise ExpressionSyntaxError(f"{what} must be a text", literal.offset, hint)
    try:
        check(literal.value)
    except EvaluationError as error:
        raise ExpressionSyntaxError(error.message, literal.offset, hint) from None
    except UnicodeError:
        raise ExpressionSyntaxError(f"{what} must be valid Unicode", literal.offset, hint) from None
    return literal.value


# -- closures


def list_of(items: tuple[Evaluator, ...]) -> Evaluator:
    size = VALUE_BYTES + ELEMENT_BYTES * len(items)

    def evaluate(scope: Scope) -> Json:
        scope.charge_memory(size)
        return [item(scope) for item in items]

    return evaluate


def object_of(entries: tuple[tuple[str, Evaluator], ...]) -> Evaluator:
    size = VALUE_BYTES * (1 + 3 * bool(entries) + len(entries))  # the first entries have a table made for them

    def evaluate(scope: Scope) -> Json:
        scope.charge_memory(size)
        return {key: value(scope) for key, value in entries}

    return evaluate


def required(probe: Evaluator, text: str, offset: int) -> Evaluator:
    def evaluate(scope: Scope) -> Json:
        value = probe(scope)
        if value is MISSING:
            raise EvaluationError(f"{text} is required and leads nowhere", offset)
        return value

    return evaluate


def apply(function: Callable[..., Json], arguments: tuple[Evaluator, ...]) -> Evaluator:
    """The function's result; a text is paid as one that was made."""
    first = arguments[0] if len(arguments) == 1 else None

    def evaluate(scope: Scope) -> Json:
        if first is not None:
            value = function(scope, first(scope))
        else:
            value = function(scope, *[argument(scope) for argument in arguments])
        if type(value) is str:
            scope.charge_made(value)
        return value

    return evaluate


def located(evaluate: Evaluator, offset: int, name: str = "") -> Evaluator:
    """Gives errors that do not know their place this one, and the function's name."""

    def evaluate_here(scope: Scope) -> Json:
        try:
            return evaluate(scope)
        except EvaluationError as error:
            if error.offset >= 0:
                raise
            raise error.at(offset, of=name) from None
        except OverflowError:
            raise EvaluationError(
                f"{name}(): a number is too large" if name else "a number is too large", offset
            ) from None

    return evaluate_here


# -- what becomes of the elements


def _filter(scope: Scope, elements: list[Json], body: Evaluator) -> list[Json]:
    kept = []
    for element in elements:
        scope.item = element
        if body(scope):
            kept.append(element)
    return kept


def _map(scope: Scope, elements: list[Json], body: Evaluator) -> list[Json]:
    made = []
    for element in elements:
        scope.item = element
        made.append(body(scope))
    return made


def _any_of(scope: Scope, elements: list[Json], body: Evaluator) -> bool:
    for element in elements:
        scope.item = element
        if body(scope):
            return True
    return False


def _all_of(scope: Scope, elements: list[Json], body: Evaluator) -> bool:
    for element in elements:
        scope.item = element
        if not body(scope):
            return False
    return True


def _count_by(scope: Scope, elements: list[Json], body: Evaluator) -> dict[str, int]:
    counts: dict[str, int] = {}
    for element in elements:
        scope.item = element
        key = body(scope)
        text = "null" if key is None else key if kind(key) == "string" else render_text(key, scope)
        counts[text] = counts.get(text, 0) + 1
    return counts


_COLLECTORS: dict[str, Callable[[Scope, list[Json], Evaluator], Json]] = {
    "filter": _filter,
    "map": _map,
    "any_of": _any_of,
    "all_of": _all_of,
    "count_by": _count_by,
}
