"""``remove``: the node dies at once, and with ``volumes`` (the default) its data is deleted. It comes back as a new machine would.

Models a lost disk or a replaced machine: the process that returns has its name, its address and its configuration, and nothing
else; whatever it knew it must get from its peers. A system that counts on what a replica has once acknowledged (votes, log
entries) may lose writes by it, which is what the fault is for. Without ``volumes`` only the machine goes and the data stays: on
plain processes that is a kill.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from chaos.core.capabilities import Capability
from chaos.core.errors import FaultNotEffective
from chaos.faults.base.nodes import NodeFault
from chaos.plugin import Node, Removable


class Remove(NodeFault, frozen=True, forbid_unknown_fields=True):
    """Does its data go too?"""

    volumes: bool = True

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SIGNALS, Capability.STARTS, Capability.DATA})
    leader: ClassVar[Literal["ends"]] = "ends"
    awaits: ClassVar[Literal["restart"]] = "restart"
    struck: ClassVar[str] = "it was removed"
    by_hand: ClassVar[str] = (
        "Start the process again with the same address; its folder is empty or as it was. It is healed when it has caught up and votes."
    )

    @property
    def mechanism(self) -> str:
        """And what became of its data."""
        return "SIGKILL, data deleted" if self.volumes else "SIGKILL, data kept"

    def hit(self, node: Node) -> int:
        """Kill it and delete its data; ``FaultNotEffective`` for one whose runtime cannot."""
        if not isinstance(node, Removable):
            raise FaultNotEffective(f"{node.info.name} cannot be removed by this runtime")
        return node.remove(data=self.volumes)
