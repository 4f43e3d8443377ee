"""Where pods listen for what is sent to a port of their Service: often another number than clients know (80 leads to 8080). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.core.errors import EnvironmentUnusable
from chaos.kube.api import Thing
from chaos.kube.find import headless


def refuse_other_port(service: Thing, port: int) -> Thing:
    """What a Service says of a port; ``EnvironmentUnusable`` for one that it has not. A headless one has all that its pods have."""
    ports = service["spec"].get("ports") or ()
    found: Thing | None = next((each for each in ports if each.get("port") == port and each.get("protocol", "TCP") == "TCP"), None)
    if found is None and not headless(service):
        has = ", ".join(str(each.get("port")) for each in ports) or "none"
        raise EnvironmentUnusable(
            f"the Service '{service['metadata']['name']}' has no port {port}", how=f"an operation with one of its own ports: {has}"
        )
    return found or {}


def behind(service: Thing | None, port: int, pods: Sequence[Thing]) -> int:
    """The pods' port for that of the Service; the same where the Service hands nothing on (headless), or there is none.

    ``EnvironmentUnusable`` for a port that the Service has not.
    """
    if service is None or headless(service):
        return port
    wanted = refuse_other_port(service, port).get("targetPort", port)
    if isinstance(wanted, int):
        return wanted
    numbers = {
        int(each["containerPort"])
        for pod in pods for container in pod["spec"]["containers"] for each in container.get("ports") or () if each.get("name") == wanted
    }  # fmt: skip
    if len(numbers) != 1:
        raise EnvironmentUnusable(
            f"the Service '{service['metadata']['name']}' leads to the port '{wanted}', and its pods have {len(numbers)} of that name",
            how="a number as 'targetPort' of the Service, or a 'containerPort' of that name in the pods",
        )
    return numbers.pop()
