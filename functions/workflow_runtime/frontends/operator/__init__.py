"""The Kubernetes operator: custom resources (`resources`), kept in step with the HTTP API of a server or a deployment.

``watching``                        kopf's watches; what they hear goes into the `store`, and onto the `work_queue`
``reconciling``                     one look at one object: read it, hold it, care for it or undo it
``workflows`` ``agents`` ``limits`` ``runs``   how objects of each kind are cared for (`caring`: what all have)
``deciding`` ``composing`` ``conditions``   pure: what follows from an object and from what the API says
``cluster`` ``runtime_api``         the APIs of Kubernetes and of the runtime, as far as they are needed
``election`` ``running``            of several replicas, the one that holds the lease works

Level-triggered: what is done follows from what is there now, never from what has changed. So a lost or repeated event,
a conflict, or a restart in the middle changes no outcome.
"""
