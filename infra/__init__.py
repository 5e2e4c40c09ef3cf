"""The runtime's deployment with CDK. `app` is what `cdk` runs, `stack` only composes, `runtime.WorkflowRuntime` is the
construct that a team puts into a stack of its own; below it is one construct per concern. What is wired to what comes
from `workflow_runtime.deployment.topology`; what may be chosen is in `props`.
"""
