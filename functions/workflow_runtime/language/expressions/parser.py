"""Tokens to tree: precedence climbing, loosest first ``? :``, or, and, not, comparison, ``??``, ``+ -``, ``* / %``,
unary minus, paths."""

from __future__ import annotations

from itertools import takewhile
from typing import NoReturn

from workflow_runtime.language.expressions.errors import ExpressionSyntaxError
from workflow_runtime.language.expressions.functions import FUNCTIONS, ITEM_FUNCTIONS
from workflow_runtime.language.expressions.hints import check_call, function_hint, hint_for
from workflow_runtime.language.expressions.lexer import END, NAME, OPERATOR, VALUE, Token
from workflow_runtime.language.expressions.limits import DEPTH_MAX, HEIGHT_MAX
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
    Reference,
    Star,
)
from workflow_runtime.language.look_alikes import normalized

OR, AND, NOT, COMPARISON, COALESCE, SUM, PRODUCT, UNARY = range(1, 9)
_BY_ID = ("nodes", "variables")  # what follows is an id or a name, which are compared in NFC

_LEVELS = {
    "or": OR,
    "and": AND,
    "==": COMPARISON,
    "!=": COMPARISON,
    "<": COMPARISON,
    "<=": COMPARISON,
    ">": COMPARISON,
    ">=": COMPARISON,
    "in": COMPARISON,
    "not": COMPARISON,  # as the first half of `not in`
    "??": COALESCE,
    "+": SUM,
    "-": SUM,
    "*": PRODUCT,
    "/": PRODUCT,
    "%": PRODUCT,
}
SPLIT_IT = "split it over several expressions"
_LITERALS = {"true": True, "false": False, "null": None}
_FOREIGN_LITERALS = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"} | dict.fromkeys(
    ("None", "Null", "NULL", "nil", "undefined"), "null"
)
NOT_NAMES = frozenset({"in", *_LITERALS, *_FOREIGN_LITERALS})
"""Words that look like names and are none; nor are ``and``, ``or`` and ``not``, small or large."""


class Parser:
    """One pass over the tokens of one expression; ``references`` collects the names it mentions."""

    def __init__(self, source: str, tokens: list[Token]) -> None:
        self.source = source
        self.tokens = tokens
        self.position = 0
        self.token = tokens[0]  # the one at the position
        self.depth = 0
        self.height = 0
        self.item_depth = 0
        self.references: list[Reference] = []

    def parse(self) -> Node:
        """The tree of the whole expression. Raises `ExpressionSyntaxError`."""
        if self.tokens[0].kind == END:
            raise ExpressionSyntaxError(
                "an expression is missing", self.tokens[0].start, "write a name, a literal or a call"
            )
        node = self.expression()
        if self.token.kind != END:
            self.fail_unexpected(self.token)
        return node

    # -- tokens

    def move(self, steps: int) -> None:
        self.position += steps
        self.token = self.tokens[self.position]

    def next(self) -> Token:
        token = self.token
        if token.kind is not END:
            self.position = position = self.position + 1
            self.token = self.tokens[position]
        return token

    def at(self, operator: str) -> bool:
        token = self.token
        return token.text == operator and token.kind is OPERATOR

    def accept(self, operator: str) -> bool:
        token = self.token
        if token.text == operator and token.kind is OPERATOR:
            self.next()
            return True
        return False

    def expect(self, operator: str, opening: Token) -> Token:
        token = self.token
        if not self.at(operator):
            if token.kind == END:
                raise ExpressionSyntaxError(
                    f"{opening.text} is never closed", opening.start, f"add the closing {operator}"
                )
            self.fail_unexpected(token)
        return self.next()

    def fail_unexpected(self, token: Token) -> NoReturn:
        before = self.tokens[self.position - 1] if self.position else None
        if token.kind == END:
            raise ExpressionSyntaxError("the expression ends too early", token.start, "an operand is missing")
        raise ExpressionSyntaxError(f"unexpected {token.text}", token.start, hint_for(token, before))

    # -- operators

    def expression(self) -> Node:
        """One expression at the loosest level; a level of nesting."""
        self.enter(self.token)
        condition = self.binary(OR)
        if self.at("?"):
            question = self.next()
            then = self.expression()
            if not self.accept(":"):
                raise ExpressionSyntaxError("? without :", question.start, "write condition ? value : other")
            condition = Conditional(condition, then, self.expression(), question.start)
        self.depth -= 1
        return condition

    def enter(self, token: Token) -> None:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise ExpressionSyntaxError(f"nested more than {DEPTH_MAX} deep", token.start, SPLIT_IT)

    def binary(self, floor: int) -> Node:
        self.height += 1
        if self.height > HEIGHT_MAX:
            raise ExpressionSyntaxError(f"operators are nested more than {HEIGHT_MAX} deep", self.token.start, SPLIT_IT)
        left = self.prefix(floor)
        while True:
            token = self.token
            level = _LEVELS.get(token.text, 0) if token.kind == OPERATOR else 0
            if level == 0 or level < floor:
                self.height -= 1
                return left
            if level == COMPARISON:
                left = self.comparison(left)
            elif level in (SUM, PRODUCT):
                left = self.arithmetic(left, level)
            else:
                left = self.choice(left, token.text, level)

    def choice(self, first: Node, operator: str, level: int) -> Node:
        offset, operands = self.token.start, [first]
        while self.accept(operator):
            operands.append(self.binary(level + 1))
        return Choice(operator, tuple(operands), offset)

    def arithmetic(self, first: Node, level: int) -> Node:
        rest = []
        offset = self.token.start
        while self.token.kind == OPERATOR and _LEVELS.get(self.token.text) == level:
            operator = self.next()
            rest.append((operator.text, self.binary(level + 1), operator.start))
        return Arithmetic(first, tuple(rest), offset)

    def comparison(self, left: Node) -> Node:
        token = self.next()
        operator = token.text
        if operator == "not":
            if not self.accept("in"):
                self.move(-1)
                self.fail_unexpected(token)
            operator = "not in"
        if self.token.text == "=" or (operator in ("==", "!=") and self.at("=")):
            raise ExpressionSyntaxError(f"unexpected {operator}=", token.start, f"use {operator}")
        right = self.binary(COMPARISON + 1)
        following = self.token
        if following.kind == OPERATOR and _LEVELS.get(following.text) == COMPARISON:
            raise ExpressionSyntaxError("comparisons cannot be chained", following.start, "write a < b and b < c")
        return Compare(operator, left, right, token.start)

    def prefix(self, floor: int) -> Node:
        token = self.token
        if token.kind != OPERATOR or token.text not in ("not", "!", "-"):
            return self.postfix()
        if token.text != "-" and floor > NOT:
            raise ExpressionSyntaxError(
                f"{token.value or token.text} as an operand",
                token.start,
                f"put it in parentheses: ({token.value or token.text} …)",
            )
        self.next()
        self.enter(token)
        node: Node
        if token.text == "not":
            node = Not(self.binary(NOT), token.start)
        elif token.text == "!":
            node = Not(self.prefix(NOT), token.start)
            following = self.token
            if following.kind == OPERATOR and _LEVELS.get(following.text, 0) > NOT:
                raise ExpressionSyntaxError(
                    f"! before {following.text} is ambiguous",
                    token.start,
                    f"write !(a {following.text} b) or (!a) {following.text} b",
                )
        else:
            node = negative(self.prefix(UNARY), token.start)
        self.depth -= 1
        return node

    # -- paths and primaries

    def postfix(self) -> Node:
        start = self.token
        base = self.primary()
        steps: list[Key | At | Star] = []
        if start.kind != NAME and self.token.text in (".", "["):
            base, steps = self.reopen(base)
        while self.token.text in (".", "[") and self.token.kind == OPERATOR:
            opening = self.next()
            steps.append(self.member() if opening.text == "." else self.subscript(opening))
        if isinstance(base, Name) and base.name in _BY_ID and steps and isinstance(steps[0], Key):
            steps[0] = Key(normalized(steps[0].key))
        if isinstance(base, Name) and (steps or start.kind == NAME):
            fixed = takewhile(lambda step: isinstance(step, Key), steps)
            keys = tuple([step.key for step in fixed if isinstance(step, Key)])
            self.references.append(Reference(base.name, keys, base.offset, len(keys) == len(steps)))
        if not steps:
            return base
        end = self.tokens[self.position - 1].end
        return Path(base, tuple(steps), self.source[start.start : end], start.start)

    def reopen(self, group: Node) -> tuple[Node, list[Key | At | Star]]:
        """``${a.b}.c`` is ``a.b.c``: the path in the group goes on, so that its reference is as exact as if written
        in one."""
        steps: list[Key | At | Star] = []
        if isinstance(group, Path) and not any(isinstance(step, Star) for step in group.steps):
            steps.extend(group.steps)
            group = group.base
        if isinstance(group, Name):
            self.references = [reference for reference in self.references if reference.offset != group.offset]
        return group, steps

    def member(self) -> Key | Star:
        token = self.next()
        if token.kind == NAME:
            return Key(token.text)
        if token.kind == OPERATOR and token.value is not None:  # a keyword is a key like any other here
            return Key(str(token.value))
        if token.text == "*":
            return Star()
        if token.kind == VALUE and not isinstance(token.value, str):
            raise ExpressionSyntaxError("a number after a point", token.start, f"write [{token.text}] for an index")
        raise ExpressionSyntaxError(
            "a name is missing after the point", token.start, 'write a.b, a.*.b or a["any key"]'
        )

    def subscript(self, opening: Token) -> Key | At:
        if self.at("*"):
            raise ExpressionSyntaxError("[*] is not an index", self.token.start, "write a.*.b")
        if self.at("]"):
            raise ExpressionSyntaxError("an index is missing", self.token.start, 'write a[0] or a["key"]')
        index = self.expression()
        if self.at(":"):
            raise ExpressionSyntaxError("[a:b] is not an index", self.token.start, "write slice(list, start, end)")
        self.expect("]", opening)
        if isinstance(index, Literal) and isinstance(index.value, str):
            return Key(index.value)
        return At(index)

    def primary(self) -> Node:
        token = self.next()
        if token.kind == VALUE:
            return Literal(token.value, token.start)
        if token.kind == NAME:
            return self.call(token) if self.at("(") else self.name(token)
        if token.kind == OPERATOR:
            if token.text in ("(", "${"):
                node = self.expression()
                self.expect(")" if token.text == "(" else "}", token)
                return node
            if token.text == "[":
                return ListOf(self.sequence(token, "]"), token.start)
            if token.text == "{":
                return self.object_of(token)
        self.move(-(token.kind != END))
        return self.fail_unexpected(token)

    def name(self, token: Token) -> Node:
        if token.text in _LITERALS:
            return Literal(_LITERALS[token.text], token.start)
        if token.text in _FOREIGN_LITERALS:
            raise ExpressionSyntaxError(
                f"unknown literal {token.text}", token.start, f"write {_FOREIGN_LITERALS[token.text]}"
            )
        if token.text == "item" and self.item_depth:
            return Item(token.start)
        return Name(normalized(token.text), token.start)

    def sequence(self, opening: Token, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self.accept(closing):
            if items:
                self.expect_comma(opening, closing)
                if self.accept(closing):
                    break
            items.append(self.expression())
        return tuple(items)

    def expect_comma(self, opening: Token, closing: str) -> None:
        if not self.accept(","):
            self.expect(closing, opening)  # fails, with the right words

    def object_of(self, opening: Token) -> Node:
        entries: dict[str, Node] = {}
        while not self.accept("}"):
            if entries:
                self.expect_comma(opening, "}")
                if self.accept("}"):
                    break
            token = self.next()
            if token.kind == END:
                raise ExpressionSyntaxError("{ is never closed", opening.start, "add the closing }")
            key = token.value if token.kind == VALUE else (token.value or token.text)
            if not isinstance(key, str) or (token.kind == OPERATOR and token.value is None):
                raise ExpressionSyntaxError(
                    f"unexpected {token.text}", token.start, 'keys are names or quoted texts: {"a": 1}'
                )
            if key in entries:
                raise ExpressionSyntaxError(f"duplicate key {key}", token.start)
            if not self.accept(":"):
                raise ExpressionSyntaxError("a key without a value", token.start, 'write {"key": value}')
            entries[key] = self.expression()
        return ObjectOf(tuple(entries.items()), opening.start)

    # -- calls

    def call(self, name: Token) -> Node:
        function = FUNCTIONS.get(name.text)
        if function is None:
            raise ExpressionSyntaxError(f"unknown function {name.text}", name.start, function_hint(name.text))
        opening = self.next()
        arguments: list[Node] = []
        while not self.accept(")"):
            if arguments:
                self.expect_comma(opening, ")")
            own_item = len(arguments) == 1 and name.text in ITEM_FUNCTIONS
            self.item_depth += own_item
            arguments.append(self.expression())
            self.item_depth -= own_item
        check_call(function, arguments, name)
        return Call(name.text, tuple(arguments), name.start)


def negative(operand: Node, offset: int) -> Node:
    """Minus a literal is a literal: ``a[-1]`` has a fixed index."""
    if isinstance(operand, Literal) and type(operand.value) in (int, float):
        return Literal(-operand.value, offset)
    return Negative(operand, offset)
