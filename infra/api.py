"""The HTTP API: every route is one function's; IAM or JWT says who may call it, except where requests prove
themselves.
"""

from __future__ import annotations

import json

from aws_cdk import CfnOutput
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.logs import log_group
from infra.props import Cors, RuntimeProps, Throttle
from infra.suppressions import accept
from workflow_runtime.deployment.topology import Function

METHODS = ("GET", "POST", "PUT", "DELETE")  # OPTIONS is API Gateway's own, without authorizer
EVERY_PATH = "/{proxy+}"
REQUEST_HEADERS = ("authorization", "content-type", "idempotency-key", "if-match", "if-none-match",
                   "last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version", "x-amz-date",
                   "x-amz-security-token", "x-correlation-id")  # fmt: skip
ANSWER_HEADERS = ("content-range", "etag", "location", "retry-after")
ACCESS_LOG = {
    "request_id": "$context.requestId",
    "function_request_id": "$context.integration.requestId",
    "api_id": "$context.apiId",
    "time": "$context.requestTime",
    "ip": "$context.identity.sourceIp",
    "caller": "$context.identity.caller",
    "subject": "$context.authorizer.claims.sub",
    "route": "$context.routeKey",
    "path": "$context.path",
    "protocol": "$context.protocol",
    "status": "$context.status",
    "response_bytes": "$context.responseLength",
    "response_ms": "$context.responseLatency",
    "integration_error": "$context.integrationErrorMessage",
}


class Api(Construct):
    """``url`` is what `awr --url` takes."""

    def __init__(
        self, scope: Construct, id: str, function: Function, target: lambda_.IFunction, props: RuntimeProps
    ) -> None:
        super().__init__(scope, id)
        self.api = apigateway.HttpApi(
            self,
            "Http",
            description="Workflow runtime",
            create_default_stage=False,
            cors_preflight=_cors(props.cors) if props.cors else None,
            default_authorizer=_authorizer(props),
            default_authorization_scopes=list(props.jwt.scopes) or None if props.jwt else None,
        )
        integration = integrations.HttpLambdaIntegration("Function", target)
        self.api.add_routes(
            path=EVERY_PATH, methods=[apigateway.HttpMethod(method) for method in METHODS], integration=integration
        )
        for route in function.open_routes:
            self._open(route, integration)
        self._stage(function, props)
        self.url = self.api.api_endpoint
        CfnOutput(self, "Url", value=self.url, description="Give it to awr with --url")

    def _open(self, route: str, integration: integrations.HttpLambdaIntegration) -> None:
        method, path = route.split()
        for made in self.api.add_routes(
            path=path,
            methods=[apigateway.HttpMethod(method)],
            integration=integration,
            authorizer=apigateway.HttpNoneAuthorizer(),
            authorization_scopes=[],
        ):
            accept(
                made,
                "AwsSolutions::AwsSolutions-APIG4",
                "Requests carry a signature or a task token that the function checks, or read what is public",
            )

    def _stage(self, function: Function, props: RuntimeProps) -> None:
        log = log_group(self, "AccessLogs", props)
        stage = apigateway.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            stage_name="$default",
            auto_deploy=True,
            detailed_metrics_enabled=True,
            throttle=_throttle(props.throttle),
        )
        made = stage.node.default_child
        assert isinstance(made, apigateway.CfnStage)
        made.access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
            destination_arn=log.log_group_arn, format=json.dumps(ACCESS_LOG)
        )
        limits = {
            "ThrottlingRateLimit": props.open_throttle.rate,
            "ThrottlingBurstLimit": props.open_throttle.burst,
            "DetailedMetricsEnabled": True,
        }
        made.route_settings = dict.fromkeys(function.open_routes, limits)


def _authorizer(props: RuntimeProps) -> apigateway.IHttpRouteAuthorizer:
    if props.jwt is None:
        return authorizers.HttpIamAuthorizer()
    return authorizers.HttpJwtAuthorizer("Jwt", props.jwt.issuer, jwt_audience=list(props.jwt.audience))


def _cors(cors: Cors) -> apigateway.CorsPreflightOptions:
    return apigateway.CorsPreflightOptions(
        allow_origins=list(cors.origins),
        allow_methods=[apigateway.CorsHttpMethod(method) for method in METHODS],
        allow_headers=list(REQUEST_HEADERS),
        expose_headers=list(ANSWER_HEADERS),
        max_age=cors.max_age,
    )


def _throttle(throttle: Throttle) -> apigateway.ThrottleSettings:
    return apigateway.ThrottleSettings(rate_limit=throttle.rate, burst_limit=throttle.burst)
