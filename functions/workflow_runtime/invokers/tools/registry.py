"""The available tools: the built-in ones, and in ``definitions/tools`` the functions of Python modules and the variants
of YAML files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import Finding, Rule
from workflow_runtime.invokers.containment import attempt
from workflow_runtime.invokers.entries import read_entries
from workflow_runtime.invokers.tools.builtin import builtin_tools
from workflow_runtime.invokers.tools.mcp.registry import McpServers
from workflow_runtime.invokers.tools.mcp.remote import RemoteTool
from workflow_runtime.invokers.tools.mcp.servers import UNPINNED
from workflow_runtime.invokers.tools.modules import load_modules
from workflow_runtime.invokers.tools.reach import LOCAL_REACH, Reach
from workflow_runtime.invokers.tools.services import ToolServices
from workflow_runtime.invokers.tools.tool import Tool, UnusableTool, describe
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.language.yaml.small_files import DECLARED_TWICE, UNKNOWN_TOOL, UNUSABLE_TOOL, WRONG_FIELD
from workflow_runtime.plan.catalogue import CatalogueEntry, Effects
from workflow_runtime.sdk import MARK, ToolMark

ID_PATTERN = r"^\w[\w-]*$"


class Variant(BaseModel):
    """An entry of ``definitions/tools``: tool ``uses`` under the id ``id``, with the arguments in ``inputs`` fixed.

    A call cannot give a fixed argument: a variant that fixes a URL is a tool for that URL only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    id: Annotated[str, Field(pattern=ID_PATTERN, max_length=128), AfterValidator(normalized)]
    uses: Annotated[str, AfterValidator(normalized)]
    description: str = ""
    inputs: dict[str, Any] = {}
    effects: Annotated[
        Literal["none", "idempotent", "once"] | None,
        Field(description="What a call does to the world; by default what the tool says that is used."),
    ] = None


class ToolRegistry:
    """Tools by id. `load` reads everything at once; every tool's schema is checked then, not when a node runs."""

    def __init__(self, tools: Iterable[Tool], servers: McpServers | None = None) -> None:
        self._servers = servers or McpServers({}, {})
        remote = [tool for of_server in self._servers.tools.values() for tool in of_server.values()]
        self._tools: dict[str, Tool] = {tool.id: tool for tool in (*remote, *tools)}

    @classmethod
    def load(
        cls,
        folder: Path | None,
        *,
        reach: Reach = LOCAL_REACH,
        services: ToolServices | None = None,
        servers: McpServers | None = None,
    ) -> ToolRegistry:
        """Built-in tools, and what is below ``folder``: every function marked with ``@tool`` in its Python modules, the
        variants in its YAML files. None, or no such folder: only the built-in ones.

        Raises `DefinitionError` with everything that is wrong: an id declared twice, a module that does not import, a
        signature no tool can have, a variant of an unknown tool, presets that do not fit.
        """
        tools = {tool.id: tool for tool in builtin_tools(reach, services or ToolServices())}
        findings: list[Finding] = []
        _add_functions(folder, tools, findings)
        _add_variants(folder, tools, findings)
        if findings:
            raise DefinitionError(findings)
        return cls(tools.values(), servers)

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(self._tools)

    def get(self, id: str) -> Tool | None:
        found = self._tools.get(id.removesuffix(UNPINNED))
        if id.endswith(UNPINNED):
            return found.unpinned() if isinstance(found, RemoteTool) else None
        return found

    @property
    def servers(self) -> frozenset[str]:
        """The MCP servers that are declared."""
        return frozenset(self._servers.servers)

    def of_server(self, id: str) -> dict[str, RemoteTool] | None:
        """What is pinned of an MCP server, by id; None: nothing is, or there is no such server."""
        return self._servers.tools.get(id)

    def describe(self) -> dict[str, CatalogueEntry]:
        """Every tool as plain data, by id in order."""
        return {id: self._tools[id].entry() for id in sorted(self._tools)}


def _add_functions(folder: Path | None, tools: dict[str, Tool], findings: list[Finding]) -> None:
    places: dict[str, str] = {}
    for module in load_modules(folder, findings):
        for function in vars(module).values():
            mark = attempt(partial(getattr, function, MARK, None)).value  # whatever stands in the module
            if not isinstance(mark, ToolMark) or getattr(function, "__module__", None) != module.__name__:
                continue  # a tool that the module merely imports belongs to the module that defines it
            place, id = f"{module.__file__}:{_line(function)}", normalized(mark.id)
            if id in tools:
                if tools[id].function is function:
                    continue  # a second name for the same function
                message = f"the id {id!r} is taken by {places.get(id, 'a built-in tool')}"
                findings.append(_finding(DECLARED_TWICE, message, module, function))
                continue
            try:
                tools[id] = describe(function, id, mark.description, str(module.__file__), mark.effects)
                places[id] = place
            except UnusableTool as error:
                message = f"{function.__name__} cannot be a tool: {error}"
                findings.append(_finding(UNUSABLE_TOOL, message, module, function))


def _finding(rule: Rule, message: str, module: ModuleType, function: Callable[..., Any]) -> Finding:
    file = str(module.__file__)
    return Finding(rule.id, rule.severity, message, line=_line(function), column=1, hint=rule.hint, file=file)


def _line(function: Callable[..., Any]) -> int:
    """Where it is defined; 1 for what is callable without being a function."""
    code = getattr(function, "__code__", None)
    return code.co_firstlineno if code is not None else 1


def _add_variants(folder: Path | None, tools: dict[str, Tool], findings: list[Finding]) -> None:
    functions = dict(tools)  # a variant uses a function, never another variant: what it fixes is seen in one place
    for id, (variant, document) in read_entries(folder, "tools", Variant, findings).items():
        if id in tools:
            findings.append(document.finding(DECLARED_TWICE, f"the id {id!r} is taken by a Python or built-in tool"))
        elif variant.uses not in functions:
            hint = did_you_mean(variant.uses, functions)
            findings.append(
                document.finding(UNKNOWN_TOOL, f"tool {id!r} uses {variant.uses!r}, which is not a tool", (), hint)
            )
        else:
            try:
                effects = Effects(variant.effects) if variant.effects is not None else None
                tools[id] = functions[variant.uses].preset(
                    id, variant.description, variant.inputs, document.file, effects
                )
            except UnusableTool as error:
                findings.append(
                    document.finding(WRONG_FIELD, f"tool {id!r}: `inputs` do not fit {variant.uses!r}: {error}")
                )
