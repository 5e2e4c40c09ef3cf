"""What those that start a workflow may know of it, from its definition."""

from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.plan.catalogue import CatalogueEntry


def entry_of(definition: WorkflowDefinition) -> CatalogueEntry:
    """A workflow as the catalogue has it."""
    input, output = definition.input_schema, definition.output_schema
    return CatalogueEntry(
        id=definition.id,
        description=definition.description,
        source="workflow",
        input_schema=input if isinstance(input, dict) else None,
        output_schema=output if isinstance(output, dict) else None,
        express=definition.durability == "express",
    )
