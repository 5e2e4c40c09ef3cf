"""The commands of `awr`, a module for each: its options and help text, then what it does. `app` imports one when it
runs.
"""
