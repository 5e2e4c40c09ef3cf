"""What is stored and how it looks: the items of the one table, and payloads in and out of line. `stores` has it all.

Every backend shares it. It imports the plan, the engine's state and the ports; services speak its objects (`records`),
never items. It decides nothing.
"""
