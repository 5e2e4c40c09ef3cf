"""What a synthesized template allows: its roles' statements, with the names that resources really have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.infra.recorded_aws import ACCOUNT, OF_LIMITERS, REGION

PSEUDO_PARAMETERS = {
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "stack",
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/stack/id",
}


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """One action on one resource (an ARN, perhaps with wildcards)."""

    action: str
    resource: str

    def allows(self, action: str, resource: str) -> bool:
        return fnmatchcase(action, self.action) and fnmatchcase(resource, self.resource)


class Template:
    """A synthesized template. ``environment``: the values that the variables of functions have where it runs."""

    def __init__(self, document: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._resources: Mapping[str, Any] = document["Resources"]
        self._environment = environment
        self._names: dict[str, str] = {}
        self._arns: dict[str, str] = {}
        self._literals: dict[str, str] = {}
        for variables in self.environments.values():
            for name, value in variables.items():
                if isinstance(value, Mapping) and name in environment:
                    self._learn(name, value)
                elif name == "SCHEDULE_GROUP":  # its name is in the template
                    self._literals[value] = environment[name]

    @property
    def environments(self) -> dict[str, dict[str, Any]]:
        """The variables of each function, by its name in the topology, as the template has them."""
        variables = [function["Environment"]["Variables"] for function in self._lambdas()]
        return {each["FUNCTION"]: each for each in variables}

    def _lambdas(self) -> Iterator[Mapping[str, Any]]:
        for resource in self._resources.values():
            if resource["Type"] == "AWS::Lambda::Function":
                yield resource["Properties"]

    def _learn(self, variable: str, value: Mapping[str, Any]) -> None:
        """What a variable refers to has the name, or the ARN, that the environment says."""
        text = self._environment[variable]
        if "Ref" in value:
            id = value["Ref"]
            self._names[id] = text
            self._arns[id] = _arn(self._resources[id]["Type"], text)
        elif "Fn::GetAtt" in value and value["Fn::GetAtt"][1] == "Arn":
            self._arns[value["Fn::GetAtt"][0]] = text

    def resolved(self, value: Any) -> str:
        """A property with its references replaced. Raises `KeyError` for one that nothing explains."""
        match value:
            case str():
                for literal, name in self._literals.items():
                    value = value.replace(literal, name)
                return value
            case {"Ref": str(name)} if name in PSEUDO_PARAMETERS:
                return PSEUDO_PARAMETERS[name]
            case {"Ref": str(id)}:
                return self._names.get(id) or id
            case {"Fn::GetAtt": [str(id), "Arn"]}:
                return self._arns.get(id) or _arn(self._resources[id]["Type"], id)
            case {"Fn::Join": [str(separator), list(parts)]}:
                return separator.join(map(self.resolved, parts))
        raise KeyError(f"no value for {value}")

    def permissions(self, function: str) -> set[Permission]:
        """What the role of a function allows, action by action and resource by resource."""
        properties = next(each for each in self._lambdas() if each["Environment"]["Variables"]["FUNCTION"] == function)
        role = properties["Role"]["Fn::GetAtt"][0]
        assert not self._resources[role]["Properties"].get("ManagedPolicyArns"), f"{function}: a managed policy"
        found: set[Permission] = set()
        for statement in self._statements(role):
            assert statement["Effect"] == "Allow"
            of = OF_LIMITERS if "ForAllValues:StringLike" in statement.get("Condition", {}) else ""
            for resource in _listed(statement["Resource"]):
                found |= {Permission(action, self.resolved(resource) + of) for action in _listed(statement["Action"])}
        return found

    def _statements(self, role: str) -> Iterator[Mapping[str, Any]]:
        for policy in self._resources[role]["Properties"].get("Policies", []):
            yield from policy["PolicyDocument"]["Statement"]
        for resource in self._resources.values():
            if resource["Type"] == "AWS::IAM::Policy" and {"Ref": role} in resource["Properties"]["Roles"]:
                yield from resource["Properties"]["PolicyDocument"]["Statement"]


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def _arn(kind: str, name: str) -> str:
    """The ARN of a resource from what `Ref` says of it."""
    here = f"{REGION}:{ACCOUNT}"
    match kind:
        case "AWS::SQS::Queue":
            return f"arn:aws:sqs:{here}:{re.sub('.*/', '', name)}"
        case "AWS::DynamoDB::Table":
            return f"arn:aws:dynamodb:{here}:table/{name}"
        case "AWS::S3::Bucket":
            return f"arn:aws:s3:::{name}"
        case "AWS::Events::EventBus":
            return f"arn:aws:events:{here}:event-bus/{name}"
        case "AWS::Scheduler::ScheduleGroup":
            return f"arn:aws:scheduler:{here}:schedule-group/{name}"
        case "AWS::Logs::LogGroup":
            return f"arn:aws:logs:{here}:log-group:{name}:*"
        case "AWS::KMS::Key":
            return f"arn:aws:kms:{here}:key/{name}"
        case "AWS::IAM::Role":
            return f"arn:aws:iam::{ACCOUNT}:role/{name}"
    raise KeyError(f"no ARN for {kind} {name}")
