"""Worker pools that a deployment adds: who serves them, and who refuses them."""

from __future__ import annotations

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.compiler import compile_or_raise, compile_workflow
from workflow_runtime.deployment.settings import Settings, deployed_topology, queue_variable, queues_used
from workflow_runtime.deployment.topology import TOPOLOGY, node_queue, serving_queue, with_pools
from workflow_runtime.errors import DefinitionError
from workflow_runtime.runtime.environment import EnvironmentSecrets
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.testing import WorkflowTester

PAYMENT = """workflow:
  id: 付款
  nodes:
    - {id: pay, type: tool, tool: echo, pool: payments, inputs: {amount: 5}}
    - {id: thank, type: tool, tool: echo, dependencies: [pay]}
"""


def test_an_added_pool_has_a_queue_and_a_worker_of_its_own() -> None:
    topology = with_pools(TOPOLOGY, ["payments", "gpu"])
    assert topology.pools == (*TOPOLOGY.pools, "payments", "gpu")
    worker = topology.function("run_node_payments")
    assert [source.queue for source in worker.sources] == ["node-payments"]
    assert "dispatch.fifo" in worker.sends
    assert "node-tool" not in worker.sends
    assert topology.queue("node-gpu").visibility_seconds == topology.queue("node-tool").visibility_seconds
    for sender in ("dispatch", "sweep"):
        assert {"node-payments", "node-gpu"} <= set(topology.function(sender).sends)
    assert topology.function("run_node_tool") == TOPOLOGY.function("run_node_tool")


def test_a_deployment_names_its_added_pools_in_a_variable() -> None:
    assert deployed_topology({}) is TOPOLOGY
    topology = deployed_topology({"WORKER_POOLS": "payments"})
    variables = dict.fromkeys(("TABLE_NAME", "BUCKET_NAME", "BUS_NAME"), "x")
    variables |= {queue_variable(queue): queue for queue in queues_used(topology, "run_node_payments")}
    settings = Settings.from_environment(variables, function="run_node_payments", topology=topology)
    assert settings.queue_urls.keys() == {"dispatch.fifo", "limits", "node-payments"}


def test_a_node_chooses_its_pool() -> None:
    plan = compile_or_raise(PAYMENT)
    assert [node.pool for node in plan.root.nodes] == ["payments", "tool"]


@pytest.mark.parametrize("name", ["支付", "Payments", "a_b", "a--b", "-a", "a" * 41, 5])
def test_a_pool_is_named_plainly(name: object) -> None:
    compilation = compile_workflow(PAYMENT.replace("pool: payments", f"pool: {name}"))
    (finding,) = (found for found in compilation.findings if "worker pool" in found.message)
    assert finding.path.endswith(".pool")


def test_where_the_pools_are_known_an_unknown_one_is_refused_when_published() -> None:
    with open_backend() as backend:
        runtime = Runtime(backend.ports, dict, secrets=EnvironmentSecrets({}), pools=("agent", "tool"))
        with pytest.raises(DefinitionError) as caught:
            runtime.catalog.publish(PAYMENT.encode())
        assert list(caught.value.findings) == runtime.catalog.compile(PAYMENT.encode()).findings
    [finding] = caught.value.findings
    assert (finding.id, finding.path) == ("WF430", "nodes[0].pool")
    assert finding.message == "there is no worker pool `payments` here"
    assert finding.hint == "Did you mean `agent`?"


def test_on_one_machine_every_pool_is_served(runtime: WorkflowTester) -> None:
    runtime.run(PAYMENT).assert_completed()


def test_a_pool_that_is_gone_is_served_by_the_tool_pool() -> None:
    assert serving_queue("payments", ("agent", "tool", "payments")) == node_queue("payments")
    assert serving_queue("payments", ("agent", "tool")) == node_queue("tool")
