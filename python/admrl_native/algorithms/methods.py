"""The methods that there are, by name: the eight systems of the paper, and what is registered."""

from __future__ import annotations

from .admrl.method import ADMRL, MB_GAUSS, MB_UNIF
from .maml.method import MAML, MAML_MT
from .method import Method
from .mt_joint.method import MT_JOINT
from .pearl.method import PEARL, PEARL_MT

METHODS: dict[str, Method] = {}


def register(method: Method) -> None:
    """Makes a method known to every command and function.

    Raises:
        ValueError: there is one of that name.
    """
    if method.name in METHODS:
        raise ValueError(f"method: expected a name of its own, got {method.name!r}, which is taken")
    METHODS[method.name] = method


for _method in (ADMRL, MB_UNIF, MB_GAUSS, MT_JOINT, MAML, PEARL, MAML_MT, PEARL_MT):
    register(_method)
