"""A plugin of mypy: changes of `msgspec.structs.replace` are held to the types of the fields, as those of
`dataclasses.replace` are. msgspec itself says that anything will do.
"""

from __future__ import annotations

from collections.abc import Callable

from mypy.plugin import FunctionSigContext, Plugin
from mypy.plugins.dataclasses import replace_function_sig_callback
from mypy.types import FunctionLike


class MsgspecPlugin(Plugin):
    def get_function_signature_hook(self, fullname: str) -> Callable[[FunctionSigContext], FunctionLike] | None:
        return replace_function_sig_callback if fullname == "msgspec.structs.replace" else None


def plugin(_: str) -> type[Plugin]:
    return MsgspecPlugin
