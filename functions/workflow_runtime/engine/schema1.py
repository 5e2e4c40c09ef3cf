"""todo"""

from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.plan import Plan


def unplaced(data: bytes) -> ExecutionState:
    raise NotImplementedError


def placed(plan: Plan, state: ExecutionState) -> ExecutionState:
    raise NotImplementedError
