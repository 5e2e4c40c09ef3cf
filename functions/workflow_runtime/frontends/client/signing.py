"""SigV4 for requests to API Gateway, with the caller's AWS credentials."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from workflow_runtime.frontends.client.errors import NotAuthorized

if TYPE_CHECKING:
    from botocore.credentials import Credentials

SERVICE = "execute-api"
REGION_VARIABLE = "AWS_REGION"  # botocore reads only AWS_DEFAULT_REGION
SIGNED_HEADERS = ("host", "content-type")  # proxies may change others on the way
_AWS_HOST = re.compile(r"\.execute-api(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)$")


def aws_region(url: str) -> str | None:
    """The region in API Gateway's own host names; None for any other host."""
    found = _AWS_HOST.search(urlsplit(url).hostname or "")
    return found.group(1) if found else None


class SigV4(httpx.Auth):
    """Signs each request, repeats included: a signature is good for five minutes. ``region`` None: the session's.
    ``profile``: whose credentials, if not those of the environment.

    Raises `NotAuthorized` at the first request if there are no credentials or no region, or when credentials cannot be
    renewed.
    """

    requires_request_body = True

    def __init__(
        self, region: str | None = None, credentials: Credentials | None = None, profile: str | None = None
    ) -> None:
        self._region = region
        self._credentials = credentials
        self._profile = profile

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError

        credentials, region = self._found()
        try:
            frozen = credentials.get_frozen_credentials()
        except BotoCoreError as error:  # an expired session of a single sign-on, a role that may not be taken
            raise NotAuthorized(f"the AWS credentials cannot be used: {error}", "credentials_expired") from error
        headers = {name: request.headers[name] for name in SIGNED_HEADERS if name in request.headers}
        signed = AWSRequest(request.method, str(request.url), data=request.content, headers=headers)
        SigV4Auth(frozen, SERVICE, region).add_auth(signed)
        for name, value in signed.headers.items():
            request.headers[name] = value
        yield request

    def _found(self) -> tuple[Any, str]:
        """Credentials and region; looked up when the first request is made."""
        if self._credentials is None or self._region is None:
            import botocore.session
            from botocore.exceptions import BotoCoreError

            session = botocore.session.Session(profile=self._profile)
            try:
                self._credentials = self._credentials or session.get_credentials()
                self._region = self._region or os.environ.get(REGION_VARIABLE) or session.get_config_variable("region")
            except BotoCoreError as error:  # no such profile, a configuration that cannot be read
                raise NotAuthorized(str(error), "no_credentials") from error
        if self._credentials is None:
            raise NotAuthorized("this API requires AWS credentials, and there are none", "no_credentials")
        if self._region is None:
            raise NotAuthorized("signing needs an AWS region, and neither the URL nor a profile names one", "no_region")
        return self._credentials, self._region
