"""The whole runtime as one construct, for an application's own stack."""

from __future__ import annotations

from constructs import Construct

from infra.api import Api
from infra.events import Events
from infra.functions import Functions
from infra.messaging import Messaging
from infra.monitoring import Monitoring
from infra.props import RuntimeProps
from infra.storage import Storage
from workflow_runtime.deployment.topology import TOPOLOGY, Topology, with_pools


class WorkflowRuntime(Construct):
    """A workflow runtime of its own: ``storage``, ``messaging``, ``events``, ``functions``, the ``api`` and its
    ``monitoring``.

    One stack is one trust domain; teams that do not trust each other deploy their own. ``topology`` is the runtime's,
    and differs only where a test shortens times.
    """

    def __init__(
        self, scope: Construct, id: str, props: RuntimeProps | None = None, *, topology: Topology = TOPOLOGY
    ) -> None:
        super().__init__(scope, id)
        props = props or RuntimeProps()
        topology = with_pools(topology, [name for name in props.pools if name not in topology.pools])
        functions = {function.name for function in topology.functions}
        unknown = sorted(set(props.reserved_concurrency) - functions)
        if unknown:
            raise ValueError(f"reserved_concurrency: there is no function {', '.join(unknown)}")
        self.storage = Storage(self, "Storage", props)
        self.messaging = Messaging(self, "Messaging", topology, props)
        queues = self.messaging.queues
        self.events = Events(self, "Events", topology, queues, props)
        self.functions = Functions(self, "Functions", topology, self.storage, queues, self.events, props)
        (http,) = (function for function in topology.functions if function.http)
        self.api = Api(self, "Api", http, self.functions.targets[http.name], props)
        self.monitoring = Monitoring(
            self,
            "Monitoring",
            topology,
            self.storage,
            self.messaging,
            self.events,
            self.functions,
            self.api,
            props,
        )
