"""What is known, when a workflow is compiled, of the requests of models that its agents will make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from workflow_runtime.definition.nodes.work import AgentNode
from workflow_runtime.language.expressions import ExpressionSyntaxError
from workflow_runtime.language.expressions.template import parse_string
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.model_schemas import for_model
from workflow_runtime.language.schemas import SchemaUnusable
from workflow_runtime.plan.catalogue import Catalogue, CatalogueEntry
from workflow_runtime.plan.tokens import characters_of, described


class Asked(NamedTuple):
    """Tokens of a request, estimated: those of its input that are known, and the most that its answer may have."""

    input_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> str:
        known = f"{self.input_tokens:,} tokens of input and " if self.input_tokens else ""
        return f"{known}{self.output_tokens:,} {'' if known else 'tokens '}of output"


def known_input(agent: CatalogueEntry, node: AgentNode, catalogue: Catalogue) -> int:
    """Tokens that every request of the node has at least, estimated as a request reserves them: its instructions, what
    its prompt says literally, and what its tools and its output are."""
    return agent.instructions.and_(characters_of(*_literals(node), *_functions(agent, node, catalogue))).tokens


def _literals(node: AgentNode) -> Iterator[str]:
    if node.prompt is not None:
        try:
            yield from (piece for piece in parse_string(node.prompt) if isinstance(piece, str))
        except ExpressionSyntaxError:  # which is told where it stands
            return


def _functions(agent: CatalogueEntry, node: AgentNode, catalogue: Catalogue) -> Iterator[str]:
    output = node.output_schema if node.output_schema is not None else agent.output_schema
    if output is not None:
        yield from _described("", "", output)
    for kind, id in agent.offers:
        entries = {"tool": catalogue.tools, "workflow_id": catalogue.workflows or {}}.get(kind, {})
        entry = entries.get(id)
        if entry is not None and entry.input_schema is not None:
            yield from _described(id, entry.description if kind == "tool" else "", entry.input_schema)


def _described(name: str, description: str, schema: Json) -> Iterator[str]:
    try:
        yield described(name, description, for_model(schema)[0])
    except SchemaUnusable:  # which the request is refused for
        return
