"""The base of the API's models."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ApiModel(BaseModel):
    """Makes its validator when it first validates; pydantic makes each once, whichever threads ask first (since 2.14).

    Most models only describe answers in the OpenAPI document, which no function makes: to make the validators of all
    of them would double the start of the API.
    """

    model_config = ConfigDict(defer_build=True)
