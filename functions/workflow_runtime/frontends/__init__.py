"""How people and programs meet the runtime: HTTP `api`, SDK (`client`), command line (`cli`), and the HTTP `server` of
one machine, as `dev` runs it for development and `serve` in production.
"""
