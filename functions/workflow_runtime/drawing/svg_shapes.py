"""The outlines of nodes in SVG, by kind."""

from __future__ import annotations

from collections.abc import Sequence

from workflow_runtime.drawing.geometry import Box


def outline(kind: str, box: Box) -> list[str]:
    """The outline of a node."""
    x, y, width, height = box.x, box.y, box.width, box.height
    match kind:
        case "switch" | "condition":
            slope = 18
            points = [(0, height / 2), (slope, 0), (width - slope, 0)]
            return [_polygon(x, y, [*points, (width, height / 2), (width - slope, height), (slope, height)])]
        case "aggregation":
            return [_polygon(x, y, [(0, 0), (width, 0), (width - 16, height), (16, height)])]
        case "fail":
            points = [(12, 0), (width - 12, 0), (width, 12), (width, height - 12), (width - 12, height), (12, height)]
            return [_polygon(x, y, [*points, (0, height - 12), (0, 12)])]
        case "parallel":
            bars = f"M{x + 9:.1f} {y:.1f}v{height:.0f}M{x + width - 9:.1f} {y:.1f}v{height:.0f}"
            return [_rectangle(box, 3), f'<path class="mark" d="{bars}"/>']
        case "succeed":
            place = f'x="{x + 4:.1f}" y="{y + 4:.1f}" width="{width - 8:.1f}" height="{height - 8:.0f}"'
            return [_rectangle(box, 24), f'<rect class="mark" {place} rx="20"/>']
        case "agent":
            return [_rectangle(box, 24)]
        case _:
            return [_rectangle(box, 8)]


def _rectangle(box: Box, radius: float) -> str:
    place = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
    return f'<rect class="shape" {place} rx="{radius:.0f}"/>'


def _polygon(x: float, y: float, points: Sequence[tuple[float, float]]) -> str:
    shown = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in points)
    return f'<polygon class="shape" points="{shown}"/>'
