"""The Kubernetes operator: custom resources (`resources`), kept in step with the HTTP API of a server or a deployment.

``handlers``     kopf's watches, which tell the queue which objects changed
``queue``        which objects are to be looked at, one worker for an object at a time
``reconciling``  what is done for one object: read it, decide, ask the API, write its status
``deciding``, ``composing``, ``conditions``   pure: what follows from an object and what the API says
``cluster``      the Kubernetes API, as far as it is needed;  ``runtime_api``  the runtime's
``election``     one of several replicas works

Level-triggered: what is decided follows from what is there now, never from what changed, so a lost or repeated event,
a conflict or a restart in the middle changes no outcome.
"""
