"""How people and programs meet the runtime: HTTP `api`, `mcp`, SDK (`client`), command line (`cli`), the HTTP `server`
of one machine, as `dev` runs it for development and `serve` in production, and the Kubernetes `operator`; `metrics`:
what Prometheus is told.
"""
