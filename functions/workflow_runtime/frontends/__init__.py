"""How people and programs meet the runtime: HTTP `api`, SDK (`client`), command line (`cli`), `dev` server."""
