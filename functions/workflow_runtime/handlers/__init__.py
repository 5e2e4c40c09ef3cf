"""The Lambda functions, one module each: parse the event, call one service, map the answer.

``create(runtime, function)`` makes a handler for a backend: the local pump and the tests call the very same code that
Lambda does. ``handler`` is Lambda's entry point.
"""
