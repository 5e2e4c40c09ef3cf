"""What is stored and how it looks: the items of the one table, and payloads in and out of line.

Sits on the ports and is shared by every backend; services speak its objects, never items. It must not decide anything.
"""
