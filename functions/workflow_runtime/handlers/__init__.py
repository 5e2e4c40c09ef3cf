"""The Lambda functions, one module each: parse the event, call one service, map the answer.

``create(runtime, function)`` makes a handler for a backend: the local pump and the tests call the very same code that
Lambda does. ``handler`` is Lambda's entry point. What every event needs is taken from the runtime while a handler is
made, so that the first event finds it imported (`lifetime`).
"""
