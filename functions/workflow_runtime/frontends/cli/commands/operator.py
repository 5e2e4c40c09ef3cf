"""`awr operator`: the Kubernetes operator."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from workflow_runtime.errors import RequestError
from workflow_runtime.frontends.cli.errors import ExitCode
from workflow_runtime.frontends.cli.options import Profile, Region, Token
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server, check_address
from workflow_runtime.frontends.serve.options import LogFormat

PROGRAM = "awr operator"


def operator(
    url: Annotated[
        str, typer.Option("--url", metavar="URL", envvar="AWR_URL", help="The API that objects are kept in step with.")
    ] = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    namespace: Annotated[
        str | None,
        typer.Option(metavar="NAME", envvar="AWR_NAMESPACE", help="Serve this namespace. Default: the pod's own."),
    ] = None,
    kubernetes_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Kubernetes' API, outside of a pod: http://127.0.0.1:8001 of kubectl proxy."),
    ] = None,
    resync: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="Correct what was changed in the runtime that soon.")
    ] = 60.0,
    health_port: Annotated[int, typer.Option(min=0, max=65535, help="Of /health/live; 0: none.")] = 0,
    log_format: Annotated[LogFormat, typer.Option(help="Of the lines on stderr.")] = LogFormat.JSON,
) -> int:
    """Keep custom resources of Kubernetes (Workflow, Trigger, Limit, WorkflowRun) in step with an API: of awr serve, or
    of a deployment on AWS.

    Of several replicas, the one that holds the lease awr-operator works. infra/kubernetes has the manifests.

    \b
      kubectl proxy &
      awr operator --kubernetes-url http://127.0.0.1:8001 --namespace team --url http://127.0.0.1:8080

    Exit codes: 0 told to end, 1 the lease was lost or nothing could go on, 2 wrong usage.
    """
    if find_spec("kopf") is None:
        message = f'{PROGRAM} needs kopf: pip install "agent-workflow-runtime[operator]"'
        raise RequestError("missing_dependency", message)
    from workflow_runtime.frontends.operator.cluster import Access
    from workflow_runtime.frontends.operator.running import OperatorOptions, access_of_pod, run_operator
    from workflow_runtime.frontends.operator.runtime_api import RuntimeApi
    from workflow_runtime.frontends.serve.json_log import json_lines
    from workflow_runtime.frontends.server.log import log_to, text_lines

    server = Server(url, token, profile, region)
    server.check()
    if kubernetes_url is not None:
        check_address("--kubernetes-url", kubernetes_url)
        access = Access(kubernetes_url.rstrip("/"), namespace or "default")
    else:
        variables = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        access = access_of_pod(*variables, namespace)
    api = RuntimeApi(url, headers=server.headers, sign=server.signs, profile=profile, region=region)
    lines = json_lines if log_format is LogFormat.JSON else text_lines
    with log_to(lines(sys.stderr)):
        return ExitCode.OK if run_operator(OperatorOptions(access, resync, health_port), api) else ExitCode.INVALID
