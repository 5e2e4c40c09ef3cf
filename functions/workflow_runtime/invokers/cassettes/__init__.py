"""Cassettes: what the agents, tools and people of one execution said, kept in a file, so that it can be taken again
without them.

``file``   what a cassette holds, and secrets hidden in it
``tape``   which part of it answers a call: visits and attempts of nodes, in the order in which they come
``steps``  the step log of an agent that a cassette answers first; ``answers`` what is recorded, as invokers say it
``player`` what stands before agents, tools and sub-workflows then: it answers as recorded, or lets them go on

A replay is *strict*: whoever asks for something else than is recorded ends it. A what-if goes on from there.
"""
