"""Workflows and agents: publishing versions, and keeping triggers in step with them."""
