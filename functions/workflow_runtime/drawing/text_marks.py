"""The marks of nodes and states in drawings for the terminal, by kind."""

from __future__ import annotations

MARKS = {
    "agent": "●",
    "tool": "■",
    "switch": "◆",
    "condition": "◆",
    "parallel": "⫴",
    "aggregation": "▼",
    "fail": "✗",
    "succeed": "✓",
    "wait": "◷",
    "gathered": "•",
    "state": "□",
    "compound": "▣",
    "regions": "⫴",
    "final": "◎",
    "shallow_history": "Ⓗ",
    "deep_history": "Ⓗ",
    "state_machine": "▣",
    "graph": "▼",
}
PLAIN_MARK = "○"
ACTIVE_MARK = "▶"
