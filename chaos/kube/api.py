"""Questions to a cluster's API server, in its own JSON (Kubernetes API, v1): what we ask needs no more of a client than this.

Every failure is an ``EnvironmentUnusable`` in words: which request, what the server said, what to do.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from urllib.parse import quote

from chaos.core.errors import EnvironmentUnusable
from chaos.kube.access import Access

TIMEOUT_S: Final = 15.0
WATCH_S: Final = 300
"""The server ends a watch by itself after so long; it is begun anew then."""
Thing = dict[str, Any]
"""An object of the API, as JSON has it."""
GROUPS: Final[Mapping[str, str]] = {
    "pods": "api/v1", "services": "api/v1", "configmaps": "api/v1", "serviceaccounts": "api/v1", "events": "api/v1",
    "nodes": "api/v1", "persistentvolumeclaims": "api/v1", "storageclasses": "apis/storage.k8s.io/v1",
    "roles": "apis/rbac.authorization.k8s.io/v1", "rolebindings": "apis/rbac.authorization.k8s.io/v1",
    "jobs": "apis/batch/v1", "daemonsets": "apis/apps/v1", "statefulsets": "apis/apps/v1", "namespaces": "api/v1",
}  # fmt: skip
"""Kind, as paths have it -> where it is."""


class Refused(EnvironmentUnusable):
    """The API server said no."""

    def __init__(self, status: int, what: str, how: str) -> None:
        super().__init__(what, how=how)
        self.status = status

    @property
    def missing(self) -> bool:
        """There is no such thing."""
        return self.status == 404

    @property
    def there_already(self) -> bool:
        """There is such a thing."""
        return self.status == 409

    @property
    def forbidden(self) -> bool:
        """We may not."""
        return self.status == 403


class Api:
    """One API server. Safe from several threads."""

    def __init__(self, access: Access) -> None:
        import requests

        self.access = access
        self._session = requests.Session()
        self._verify: str | bool = (access.authority or True) if access.verifies else False
        # Said with each request: the environment's bundle of certificates would stand above the session's word.
        if access.certificate is not None:
            self._session.cert = access.certificate
        if not access.verifies:
            import urllib3

            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def close(self) -> None:
        """No more questions."""
        self._session.close()

    # --- whole answers ---------------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Thing | None = None, *, kind: str = "application/json", **query: object) -> Thing:
        """One request; its answer."""
        import requests

        url = f"{self.access.server}/{path}"
        headers = {"Accept": "application/json", **self.access.headers()}
        if body is not None:
            headers["Content-Type"] = kind
        try:
            reply = self._session.request(
                method, url, params=cast("Any", query), data=None if body is None else json.dumps(body).encode(), headers=headers,
                timeout=TIMEOUT_S, verify=self._verify,
            )  # fmt: skip
        except requests.exceptions.RequestException as error:
            raise self._unreached(error) from error
        if reply.status_code >= 400:
            raise self._refused(method, path, reply.status_code, reply.text)
        return cast("Thing", reply.json()) if reply.content else {}

    def log(self, namespace: str, pod: str, container: str, last_s: int, lines: int, *, previous: bool) -> bytes:
        """What a container said in its present life, or in the one before, in the last seconds; at most so many lines."""
        import requests

        query = {"container": container, "sinceSeconds": str(last_s), "tailLines": str(lines), "previous": str(previous).lower()}
        path = f"{place('pods', namespace, pod)}/log"
        url, headers = f"{self.access.server}/{path}", dict(self.access.headers())
        try:
            reply = self._session.get(url, params=query, headers=headers, timeout=TIMEOUT_S, verify=self._verify)
        except requests.exceptions.RequestException as error:
            raise self._unreached(error) from error
        if reply.status_code >= 400:
            raise self._refused("GET", path, reply.status_code, reply.text)
        return reply.content

    def version(self) -> str:
        """``v1.34.4``."""
        return str(self.ask("GET", "version").get("gitVersion", ""))

    def get(self, kind: str, namespace: str, name: str) -> Thing | None:
        """None if there is no such thing."""
        try:
            return self.ask("GET", place(kind, namespace, name))
        except Refused as refused:
            if refused.missing:
                return None
            raise

    def listed(self, kind: str, namespace: str, selector: str = "", fields: str = "") -> list[Thing]:
        """All of a kind; of every namespace where none is named."""
        return list(self.page(kind, namespace, selector, fields).get("items") or ())

    def page(self, kind: str, namespace: str, selector: str = "", fields: str = "") -> Thing:
        """The same as the server answers it, with the version from which a watch goes on."""
        query = {"labelSelector": selector} if selector else {}
        query |= {"fieldSelector": fields} if fields else {}
        return self.ask("GET", place(kind, namespace), None, **query)

    def make(self, kind: str, namespace: str, thing: Thing) -> Thing:
        """As the server then has it."""
        return self.ask("POST", place(kind, namespace), thing)

    def change(self, kind: str, namespace: str, name: str, change: Thing) -> Thing:
        """By a merge patch (RFC 7396)."""
        return self.ask("PATCH", place(kind, namespace, name), change, kind="application/merge-patch+json")

    def remove(self, kind: str, namespace: str, name: str, *, grace_s: int | None = None, uid: str = "") -> bool:
        """Have it removed with all that belongs to it; false if there is no such thing (any more). ``uid``: only that very one."""
        options: Thing = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            self.ask("DELETE", place(kind, namespace, name), options)
        except Refused as refused:
            if refused.missing or (uid and refused.there_already):
                return False
            raise
        return True

    # --- as it happens ---------------------------------------------------------------------------------------------------

    def watch(self, kind: str, namespace: str, selector: str, version: str, stop: Stop) -> Iterator[tuple[str, Thing]]:
        """(``ADDED``, ``MODIFIED`` or ``DELETED``, the thing) after that version, until the server ends it or ``stop`` is told."""
        import requests

        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(WATCH_S), "labelSelector": selector}
        headers = {"Accept": "application/json", **self.access.headers()}
        url = f"{self.access.server}/{place(kind, namespace)}"
        try:
            with self._session.get(
                url, params=query, headers=headers, stream=True, timeout=(TIMEOUT_S, WATCH_S + TIMEOUT_S), verify=self._verify
            ) as reply:
                if reply.status_code >= 400:
                    raise self._refused("GET", place(kind, namespace), reply.status_code, reply.text)
                stop.holds(reply)
                for line in reply.iter_lines():
                    if line:
                        event = json.loads(line)
                        yield str(event["type"]), event["object"]
        except (requests.exceptions.RequestException, AttributeError, ValueError) as error:  # closed under its reader
            if not stop.told:
                raise self._unreached(error) from error

    # --- words -----------------------------------------------------------------------------------------------------------

    def _unreached(self, error: Exception) -> EnvironmentUnusable:
        how = f"'kubectl --context {self.access.name} version' must reach it" if self.access.name else "the cluster's own network"
        return EnvironmentUnusable(f"the API server {self.access} cannot be reached: {_last(error)}", how=how)

    def _refused(self, method: str, path: str, status: int, text: str) -> Refused:
        try:
            status_said = json.loads(text)
            said = str(status_said.get("message") or text)
            # Which budget holds a pod back stands there alone; of what is wrong in an object the message has it all.
            causes = (str(each.get("message") or "") for each in (status_said.get("details") or {}).get("causes") or ())
            said = " ".join([said, *(each for each in causes if each and each not in said)])
        except (ValueError, AttributeError):
            said = text.strip()[:300]
        how = "'nines doctor --kubernetes --rbac' prints the rights that a run needs" if status in (401, 403) else "see what it says"
        return Refused(status, f"the API server {self.access} refuses {method} {path}: {said or status}", how)


class Stop:
    """Ends a watch from another thread."""

    def __init__(self) -> None:
        self.told = False
        self._reply: Any = None

    def holds(self, reply: Any) -> None:  # noqa: ANN401 - of requests
        """The watch goes on by this reply."""
        self._reply = reply
        if self.told:
            self.tell()

    def tell(self) -> None:
        """End it now, whether its reader waits or not."""
        import socket

        self.told = True
        connection: Any = getattr(getattr(self._reply, "raw", None), "_connection", None)
        with contextlib.suppress(OSError, AttributeError):
            connection.sock.shutdown(socket.SHUT_RDWR)  # closing alone does not wake who reads


def place(kind: str, namespace: str, name: str = "") -> str:
    """The path of a thing, or of all of its kind."""
    inside = f"/namespaces/{quote(namespace)}" if namespace else ""
    return f"{GROUPS[kind]}{inside}/{kind}" + (f"/{quote(name)}" if name else "")


def _last(error: Exception) -> str:
    """The innermost reason: what stands around it names only our own means."""
    found: BaseException = error
    while found.__cause__ or found.__context__:
        found = found.__cause__ or found.__context__ or found
    return str(found) or type(found).__name__
