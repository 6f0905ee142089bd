"""What the numbers of a run are about: two runs of one world can be compared, and only they."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping
from typing import Any

from .._mujoco import load_mujoco
from .declaration import Family
from .physics import RULES, PhysicsSettings
from .robot import robot_of


@dataclasses.dataclass(frozen=True)
class World:
    """A family of tasks on one robot in one simulator.

    Attributes:
        family: its declaration, but for where the robot's file lies.
        physics: how the simulator is run.
        robot: digest of the compiled model; None: not recorded, as in runs of folder format 1.
        mujoco: version of the library; None: not recorded.
        rules: of what is done beside MuJoCo's steps (`families.physics.RULES`); None: not recorded.
    """

    family: Mapping[str, Any]
    physics: Mapping[str, Any]
    robot: str | None
    mujoco: str | None
    rules: int | None

    @classmethod
    def of(cls, family: Family, physics: PhysicsSettings) -> typing.Self:
        """The world as it is now.

        Raises:
            ValueError: the model does not load.
            FileNotFoundError: there is no such model.
        """
        robot = robot_of(family)
        return cls(family.declaration(), physics.to_dict(), robot, load_mujoco(), RULES)

    @classmethod
    def recorded(
        cls, family: Family, physics: PhysicsSettings, stored: Mapping[str, Any]
    ) -> typing.Self:
        """The world of a run, of the part "world" of its config.yaml; {} for format 1."""
        names = ("robot", "mujoco", "rules")
        return cls(family.declaration(), physics.to_dict(), *(stored.get(n) for n in names))

    def record(self) -> dict[str, Any]:
        """What `recorded` reads, beside family and physics."""
        return {"robot": self.robot, "mujoco": self.mujoco, "rules": self.rules}

    def digest(self) -> str:
        """Equal for equal worlds."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True).encode()
        return hashlib.blake2b(text, digest_size=8).hexdigest()

    def difference(self, other: World) -> str | None:
        """The first thing in which another world differs, and how; None if it is the same.

        What one of them has not recorded is not compared.
        """
        for ours, theirs, kind in (
            (self.family, other.family, ""),
            (self.physics, other.physics, ""),
            (self.record(), other.record(), "version of "),
        ):
            for name in sorted(ours.keys() | theirs.keys()):
                a, b = ours.get(name), theirs.get(name)
                if a != b and not (kind and None in (a, b)):
                    label = "robot" if name == "robot" else f"{kind}{name}"
                    return f"{label} {_short(a)} and {_short(b)}"
        return None


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
