"""Mocks: answers for agents, tools and sub-workflows, from a file: a workflow runs without models and side effects.

::

    agents:
      意图识别: {return: {intent: complaint, confidence: 0.9}}       # `return` is a template over the node's inputs
      投诉处理:                                                      # a list: call by call, the last one repeats
        - {raise: {type: rate_limited, message: 稍后再试}}
        - {delay: 0.5, return: {reply: "您好，${inputs.name}"}}
    tools:
      发送回复:
        cases:                                                       # the first whose `match` holds wins
          - {match: "inputs.channel == 'email'", return: {sent: true}}
          - {match: "len(text) > 100", raise: {type: validation_error, message: 太长}}
        default: {return: {sent: false}}                             # no case matches
    workflows:
      退款: {return: {refunded: true}}                               # in the place of its executions, by their input
    default: {return: null}                                          # agents and tools without a mock; else they run

A `delay` (seconds) comes before the result; alone, its result is null. Names in templates and expressions: ``inputs``,
and each input by its own name unless that is reserved.

A list counts the calls of one node: by execution, path and id. So every node starts at the first entry, attempts of a
node walk down the list, and nodes that run at the same time do not disturb each other.
"""

from __future__ import annotations

from workflow_runtime.invokers.mocks.invoker import MockedInvoker, Mocks, Unmocked

__all__ = ["MockedInvoker", "Mocks", "Unmocked"]
