"""AWS on this machine: MiniStack in its own process, and CloudFormation templates deployed to it.

It runs Lambdas as subprocesses, polls their queues, delivers events and schedules. With ``secure`` it speaks TLS and
checks every call, those of the Lambdas too, against the caller's policies.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import boto3
from tests.e2e.adapting import adapted

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".e2e" / "emulator" / "bin" / "python"
LAYERS = ROOT / ".e2e" / "layers"
SETUP = ROOT / "tests" / "e2e" / "setup"
ACCOUNT = "000000000000"
REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}  # of its account's root
INHERITED = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")  # nothing else of ours gets into the functions
START_SECONDS_MAX = 120
DEPLOY_SECONDS_MAX = 240
POLL_SECONDS = 0.1

Found = TypeVar("Found")


def eventually(look: Callable[[], Found | None], seconds: float, what: str) -> Found:
    """What ``look`` finds, as soon as it finds anything. Raises `AssertionError` after this time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


class Emulator:
    """A running emulator; ``folder`` takes its files and its log. ``port``: a reserved one."""

    def __init__(self, folder: Path, port: int, *, secure: bool = False) -> None:
        self._port = port
        self.log = folder / "emulator.log"
        self.certificate: Path | None = None
        environment = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            **CREDENTIALS,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self._port),
            "MINISTACK_REGION": REGION,
            "TMPDIR": str(folder),
            "STATE_DIR": str(folder / "state"),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }
        if secure:
            self.certificate, key = _certificate(folder)
            environment |= {
                "AUTH": "true",
                "USE_SSL": "1",
                "MINISTACK_SSL_CERT": str(self.certificate),
                "MINISTACK_SSL_KEY": str(key),
                "AWS_CA_BUNDLE": str(self.certificate),  # for the functions' own calls
            }
        self.url = f"{'https' if secure else 'http'}://127.0.0.1:{self._port}"
        self._process = subprocess.Popen(
            [PYTHON, "-m", "ministack"],
            env=environment,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._session = boto3.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        eventually(self._listens, START_SECONDS_MAX, "the emulator starts")

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"the emulator ended: {self.log.read_text(encoding='utf-8')[-2000:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def client(self, service: str, session: boto3.Session | None = None) -> Any:
        """A boto3 client, as root unless ``session`` is somebody else's."""
        verify = str(self.certificate) if self.certificate else None
        return (session or self._session).client(service, endpoint_url=self.url, verify=verify)  # type: ignore[call-overload]

    def deploy(self, assembly: Path, stack: str) -> dict[str, str]:
        """Upload the assets of ``stack`` and create it, as `cdk deploy` does; returns its outputs."""
        archives, template = archives_of(assembly, stack), template_of(assembly, stack)
        bucket = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"
        s3 = self.client("s3")
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        for key, path in archives.items():
            s3.upload_file(str(path), bucket, key)
        template = adapted(template, unpacked_layers(template, archives))
        s3.put_object(Bucket=bucket, Key="template.json", Body=json.dumps(template).encode())
        self.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(
            StackName=stack,
            TemplateURL=f"{self.url}/{bucket}/template.json",
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        )

        def settled() -> Any:
            found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
            return None if found["StackStatus"].endswith("_IN_PROGRESS") else found

        made = eventually(settled, DEPLOY_SECONDS_MAX, "the stack is created")
        if made["StackStatus"] != "CREATE_COMPLETE":
            events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
            failed = [event for event in events if event["ResourceStatus"].endswith("FAILED")]
            reasons = [f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in failed]
            raise AssertionError(f"{made['StackStatus']}: {made.get('StackStatusReason')}\n" + "\n".join(reasons))
        return {output["OutputKey"]: output["OutputValue"] for output in made.get("Outputs", [])}

    def resources(self, stack: str) -> Mapping[str, str]:
        """Physical ids by logical id."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
        return {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for page in pages
            for resource in page["StackResourceSummaries"]
        }

    def api_url(self, api_id: str) -> str:
        """Where a deployed HTTP API answers; its own host name resolves on AWS only."""
        return f"{self.url}/_aws/execute-api/{api_id}/$default"

    def kill_workers(self, function_name: str) -> int:
        """End the processes that run a Lambda, at once; returns how many there were."""
        mark = f"ministack-lambda-{function_name}-".encode()
        killed = 0
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "cmdline").read_bytes() and _session_of(entry) == self._process.pid:
                    os.kill(int(entry.name), signal.SIGKILL)
                    killed += 1
            except OSError:
                continue  # it ended meanwhile
        return killed

    def stop(self) -> None:
        """End the emulator and all its Lambdas; doing it twice is fine."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def template_of(assembly: Path, stack: str) -> dict[str, Any]:
    template: dict[str, Any] = json.loads((assembly / f"{stack}.template.json").read_text(encoding="utf-8"))
    return template


def archives_of(assembly: Path, stack: str) -> dict[str, Path]:
    """What a stack's template refers to, by the keys that it has in the bucket of assets."""
    files = json.loads((assembly / f"{stack}.assets.json").read_text(encoding="utf-8"))["files"]
    found = {}
    for asset in files.values():
        (place,) = asset["destinations"].values()
        found[place["objectKey"]] = assembly / asset["source"]["path"]
    return {key: path for key, path in found.items() if path.name != f"{stack}.template.json"}


def unpacked_layers(template: Mapping[str, Any], archives: Mapping[str, Path]) -> dict[str, Path]:
    """Where each layer of a template is unpacked, by logical id; ``archives`` go by their keys.

    It stays there for later runs, by the hash of what is in it.
    """
    layers = {
        name: archives[resource["Properties"]["Content"]["S3Key"]]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Lambda::LayerVersion"
    }
    return {name: _unpacked(archive) for name, archive in layers.items()}


def _unpacked(archive: Path) -> Path:
    LAYERS.mkdir(parents=True, exist_ok=True)
    place = LAYERS / archive.stem
    if not place.is_dir():
        with tempfile.TemporaryDirectory(dir=LAYERS) as scratch:
            shutil.unpack_archive(archive, Path(scratch) / "whole")
            (Path(scratch) / "whole").rename(place)
    return place


def _session_of(process: Path) -> int:
    """Every process of an emulator belongs to the session that it leads."""
    after_name = (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return int(after_name[3])


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine that signs itself, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key
