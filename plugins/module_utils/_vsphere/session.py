# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One session with vCenter: three round trips to come and go, and it always goes.

pyVim's SmartConnect is not used: it first fetches the list of API versions,
keeps the login in a module global that threads share, and switches TLS
verification off for localhost. Here the API version is fixed to 6.7, the first
one with Instant Clone, which later vCenters still speak.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import ApiUnsupported, Unreachable
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explain, explaining, message
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim, vmodl
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.transport import (
    Connection,
    Stub,
    bracketed,
    http_pool,
    http_retries,
    is_transient,
)

__all__ = ["Connection", "Session", "open_session"]

T = TypeVar("T")
R = TypeVar("R")
_NEEDED = (6, 7)
_NEEDS = "Use a vCenter Server 6.7 or newer"
_LOGOUT_SECONDS = 10.0


class Session:
    """A login at one vCenter; threads may share it.

    ``deadline`` bounds every call's wait for an answer, so that a vCenter that
    hangs ends the run in time.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.deadline: Deadline | None = None
        self.waiting = threading.Lock()  # vCenter allows one wait per session at a time
        self.stub = Stub(connection, seconds_left=self._seconds_left)
        self._http: Any = None
        self._http_lock = threading.Lock()
        self.content: Any = None
        self.user_name = ""
        self.key = ""  # by which vCenter knows this session
        self._logged_in = False

    @property
    def about(self) -> Any:
        """vCenter's AboutInfo: product, version, apiType."""
        return self.content.about

    @property
    def instance_uuid(self) -> str:
        """What tells this vCenter from every other one."""
        return str(self.about.instanceUuid)

    @property
    def api_version(self) -> str:
        return str(self.about.apiVersion)

    def managed(self, kind: str, moid: str) -> Any:
        """The managed object of a type and id; no call is made. ``kind`` is vSphere's name, such as VirtualMachine."""
        return getattr(vim, kind)(moid, self.stub)

    def in_parallel(self, function: Callable[[T], R], items: Iterable[T], limit: int | None = None) -> list[R]:
        """``function`` of each item, at most ``limit`` at a time, results in the order of the items.

        All that has begun is finished before the first exception is raised
        again; what has not begun by then is left out.
        """
        wanted = list(items)
        width = min(len(wanted), limit or self.connection.concurrency)
        if width <= 1:
            return [function(item) for item in wanted]
        with ThreadPoolExecutor(max_workers=width, thread_name_prefix="vsphere") as pool:
            try:
                running = [pool.submit(function, item) for item in wanted]
                return [future.result() for future in running]
            except BaseException as error:
                pool.shutdown(wait=False, cancel_futures=True)
                if not isinstance(error, Exception):
                    # Whoever cancels waits for no answer, and the session is still to be logged out.
                    self.deadline = Deadline(0.0)
                    self.stub.hang_up()
                raise

    def http(
        self,
        method: str,
        path_or_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: float | None = None,
        stream: bool = False,
    ) -> Any:
        """One HTTP request by urllib3, with this session's TLS settings.

        A path is asked of vCenter; a URL may name an ESXi host, which is then
        not shown our cookie. With ``stream`` the caller reads the answer and
        calls its ``release_conn()``. The status is the caller's to judge.
        ``timeout`` is in seconds, for one answer; the deadline comes first.

        Raises: Unreachable, CertificateUntrusted.
        """
        with self._http_lock:
            if self._http is None:
                self._http = http_pool(self.connection)
        import urllib3

        base = f"https://{bracketed(self.connection.hostname)}:{self.connection.port}"
        url = path_or_url if "://" in path_or_url else base + path_or_url
        sent = dict(headers or {})
        if urlsplit(url).netloc == urlsplit(base).netloc:
            sent["Cookie"] = f'vmware_soap_session="{self.stub.GetSessionId()}"'
        longest = min(timeout or self.connection.call_timeout, self._seconds_left() + 1.0)
        try:
            return self._http.request(
                method,
                url,
                headers=sent,
                body=body,
                preload_content=not stream,
                redirect=False,
                retries=http_retries(method),
                timeout=urllib3.Timeout(connect=min(30.0, longest), read=longest),
            )
        except urllib3.exceptions.HTTPError as error:
            raise _explain_http(error, obj=urlsplit(url).netloc) from error

    def _seconds_left(self) -> float:
        return self.deadline.remaining() if self.deadline else self.connection.call_timeout

    def _log_in(self) -> None:
        instance = vim.ServiceInstance("ServiceInstance", self.stub)
        what, obj = "Cannot reach vCenter", f"{self.connection.hostname}:{self.connection.port}"
        with explaining(what, obj=obj):
            self.content = self._first_answer(instance, what, obj)
        self._check_api(obj)
        with explaining("Cannot log in to vCenter", obj=f"{self.connection.username} at {self.connection.hostname}"):
            # From here on there may be a session at vCenter, even if its answer never reaches us.
            self._logged_in = True
            try:
                login = self.content.sessionManager.Login(self.connection.username, self.connection.password, None)
            except vmodl.MethodFault:
                self._logged_in = False
                raise
        self.user_name, self.key = str(login.userName), str(login.key)

    def _first_answer(self, instance: Any, what: str, obj: str) -> Any:
        """What vCenter offers; from anything that is no vCenter there may come whatever."""
        content, cause = None, None
        try:
            content = instance.RetrieveContent()
        except OSError:
            raise
        except Exception as error:
            if is_transient(error):
                raise
            cause = error
        if getattr(content, "about", None) is None:
            said = f"HTTP {cause}" if isinstance(cause, http.client.HTTPException) else message(cause)
            why = "it does not answer as a vCenter does" + (f": {said}" if said else "")
            raise ApiUnsupported(what, obj=obj, why=why, next_step=_NEEDS) from cause
        return content

    def _check_api(self, obj: str) -> None:
        if self.about.apiType != "VirtualCenter":
            raise ApiUnsupported(
                "Cannot use",
                obj=obj,
                why=f"it is {self.about.fullName}, and only vCenter can make instant clones",
                next_step=_NEEDS,
            )
        numbers = tuple(int(part) for part in self.api_version.split(".") if part.isdigit())
        if numbers < _NEEDED:
            raise ApiUnsupported(
                "Cannot use",
                obj=obj,
                why=f"its API is {self.api_version}, and instant clones came with 6.7",
                next_step=_NEEDS,
            )

    def _log_out(self) -> None:
        """Leave, whatever state the connection is in: a session that cannot be ended now idles out at vCenter."""
        self.deadline = Deadline(_LOGOUT_SECONDS)
        if self._logged_in:
            with suppress(Exception):
                self.content.sessionManager.Logout()
        self.stub.DropConnections()
        if self._http is not None:
            self._http.clear()


@contextmanager
def open_session(connection: Connection) -> Iterator[Session]:
    """Log in once; log out on every way out of the block, an interrupt included.

    Raises: Unreachable, CertificateUntrusted, LoginRefused, ApiUnsupported.
    """
    session = Session(connection)
    try:
        session._log_in()
        yield session
    finally:
        session._log_out()


def _explain_http(error: Any, *, obj: str) -> Unreachable:
    """urllib3 wraps the socket's error, sometimes twice; the innermost one says why."""
    cause: BaseException = error
    while isinstance(getattr(cause, "reason", None), BaseException):
        cause = cause.reason  # type: ignore[attr-defined]
    seen = cause
    while seen is not None and not isinstance(seen, OSError):
        seen = seen.__cause__ or seen.__context__  # type: ignore[assignment]
    return explain(seen or cause, what="Cannot reach", obj=obj)  # type: ignore[return-value]
