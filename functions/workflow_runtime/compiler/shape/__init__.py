"""Second stage: each graph gets its edges, gates, branches and order."""
