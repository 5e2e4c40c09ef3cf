"""Sessions that clients are made by: botocore's own, below boto3, which a cold start need not wait for.

A client is described by JSON files that botocore carries for every service of AWS. Its own loader parses them into
ordered dictionaries, and opens the folders of all four hundred services to see whether a name is one of them; that took
two thirds of the time in which clients were made.
"""

from __future__ import annotations

import gzip
import os
from typing import Any

import msgspec
from botocore.loaders import JSONFileLoader, Loader, instance_cache
from botocore.session import Session


def create_session() -> Session:
    """One in the environment's region, with its credentials. Not safe to share between threads, unlike clients."""
    session = Session()
    data_path = session.get_config_variable("data_path")
    searched = [os.path.expanduser(path) for path in data_path.split(os.pathsep)] if data_path else []
    session.register_component("data_loader", _Loader(searched))
    return session


class _JsonFiles(JSONFileLoader):
    """Parses files, compressed or not, by msgspec; dictionaries keep their order without being told."""

    def load_file(self, file_path: str) -> Any:
        """``file_path`` comes without its suffix. None: there is no such file."""
        for suffix, data_of in ((".json", bytes), (".json.gz", gzip.decompress)):
            try:
                with open(file_path + suffix, "rb") as file:
                    return msgspec.json.decode(data_of(file.read()))
            except FileNotFoundError:
                continue
        return None


class _Loader(Loader):
    FILE_LOADER_CLASS = _JsonFiles

    @instance_cache
    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002  botocore passes it
        """Every folder there is: when a service has no file of this type, whoever then loads it says so."""
        return sorted({name for path in self.search_paths if os.path.isdir(path) for name in os.listdir(path)})
