"""Agent Workflow Runtime."""
