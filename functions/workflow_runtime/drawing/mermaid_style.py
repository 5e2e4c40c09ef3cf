"""What both of Mermaid's diagrams share: texts as entities, and styles by status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from workflow_runtime.drawing.model import ACTIVE, VISITED, Item

STYLES: Mapping[str, str] = {
    ACTIVE: "fill:#d5e8ff,stroke:#0969da,color:#06325f,stroke-width:3px",
    VISITED: "fill:#eaf6ed,stroke:#1a7f37,color:#0b3d1a",
    "success": "fill:#d3f0dc,stroke:#1a7f37,color:#0b3d1a",
    "failed": "fill:#ffd9d6,stroke:#cf222e,color:#5c0a10",
    "running": "fill:#d5e8ff,stroke:#0969da,color:#06325f",
    "retrying": "fill:#fff0c2,stroke:#9a6700,color:#4a3200",
    "ready": "fill:#e6f1ff,stroke:#0969da,color:#06325f",
    "waiting": "fill:#f2f2f2,stroke:#8c959f,color:#424a53",
    "skipped": "fill:#f2f2f2,stroke:#8c959f,color:#6e7781,stroke-dasharray:4 3",
    "compensated": "fill:#fff0c2,stroke:#9a6700,color:#4a3200,stroke-dasharray:4 3",
    "cancelled": "fill:#ececec,stroke:#6e7781,color:#424a53,stroke-dasharray:4 3",
}
"""Light fills with dark texts of their own: readable on a light and on a dark page."""

_ENTITIES = {ord(character): f"#{ord(character)};" for character in '"#&<>`\\;|'}
_MORE_ENTITIES = {**_ENTITIES, **{ord(character): f"#{ord(character)};" for character in ":{}"}}


def escaped(text: str) -> str:
    """As a text of a flowchart."""
    return text.translate(_ENTITIES)


def escaped_for_states(text: str) -> str:
    """As a text of a state diagram, where more characters mean something."""
    return text.translate(_MORE_ENTITIES)


def styled(prefix: str, items: Sequence[Item], styles: Mapping[str, str]) -> Iterator[str]:
    """A class per status that there is, and its members."""
    by_status: dict[str, list[str]] = {}
    for number, item in enumerate(items):
        by_status.setdefault(item.status, []).append(f"{prefix}{number}")
    for status, style in styles.items():
        if status in by_status:
            yield f"    classDef {status} {style}"
            yield f"    class {','.join(by_status[status])} {status}"
