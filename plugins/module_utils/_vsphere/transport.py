# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How bytes travel to vCenter: TLS, proxy, time-outs, retries.

Two ways share the settings: SOAP through pyVmomi's adapter, and plain HTTP
(datastore files, uploads) through urllib3.
"""

from __future__ import annotations

import http.client
import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import SoapStubAdapter

# Calls that can be made again when their answer was lost: they change nothing, or nothing that
# outlives the session. A wait that is made again may hear that its version has passed.
REPEATABLE = frozenset(
    {
        "CreateFilter",
        "CreatePropertyCollector",
        "Fetch",
        "FindAllByUuid",
        "FindByInventoryPath",
        "HasPrivilegeOnEntities",
        "HttpNfcLeaseProgress",
        "RetrievePropertiesEx",
        "RetrieveServiceContent",
        "WaitForUpdatesEx",
    }
)
TRIES = 4
BACKOFF = 0.25  # seconds before the second try; doubled before each further one
CALL_SECONDS = 60.0  # what vCenter gets for one answer


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Where vCenter is and who we are.

    ``concurrency`` is how many calls may be under way at once; as many
    connections are kept open. ``call_timeout`` is in seconds, for one answer.
    """

    hostname: str
    username: str
    password: str = field(repr=False)
    port: int = 443
    validate_certs: bool = True
    proxy_host: str = ""
    proxy_port: int = 0
    concurrency: int = 16
    call_timeout: float = field(default_factory=lambda: CALL_SECONDS)


def tls_context(connection: Connection) -> ssl.SSLContext:
    """Verification as asked for, for every host name alike.

    OpenSSL itself reads SSL_CERT_FILE and SSL_CERT_DIR; REQUESTS_CA_BUNDLE is
    what users of Ansible's other collections have set already.
    """
    context = ssl.create_default_context()
    if not connection.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    bundle = os.environ.get("REQUESTS_CA_BUNDLE", "")
    if os.path.isdir(bundle):
        context.load_verify_locations(capath=bundle)
    elif os.path.isfile(bundle):
        context.load_verify_locations(cafile=bundle)
    return context


class Stub(SoapStubAdapter):  # type: ignore[misc]
    """pyVmomi's adapter with time-outs that follow a deadline, and retries of what may be repeated."""

    def __init__(self, connection: Connection, *, seconds_left: Callable[[], float]) -> None:
        proxy: dict[str, Any] = {}
        if connection.proxy_host:
            proxy = {"httpProxyHost": connection.proxy_host, "httpProxyPort": connection.proxy_port or 80}
        super().__init__(
            host=connection.hostname,
            port=connection.port,
            ns="vim25/6.7",
            path="/sdk",
            poolSize=connection.concurrency,
            sslContext=tls_context(connection),
            httpConnectionTimeout=connection.call_timeout,
            **proxy,
        )
        self._call_timeout = connection.call_timeout
        self._seconds_left = seconds_left
        self._known: WeakSet[Any] = WeakSet()

    def GetConnection(self) -> Any:
        """A connection that is alive, and gives up when the run has to end."""
        while True:
            self.schemeArgs["timeout"] = self._timeout()
            connection = super().GetConnection()
            connection.response_class = _Response
            self._known.add(connection)
            if connection.sock is None:
                return connection
            # Between two calls nothing may arrive: readable means that the other side hung up.
            if getattr(connection, "was_used", False) and select.select([connection.sock], [], [], 0)[0]:
                connection.close()
                continue
            connection.sock.settimeout(self._timeout())
            return connection

    def ReturnConnection(self, conn: Any) -> None:
        """Keep a connection for further calls; one that is new may still be told TLS session tickets."""
        conn.was_used = True
        super().ReturnConnection(conn)

    def hang_up(self) -> None:
        """End every call that is under way, in whatever thread: each has a ConnectionError at once."""
        for connection in list(self._known):
            with suppress(OSError):
                if connection.sock is not None:
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def InvokeMethod(self, mo: Any, info: Any, args: Any, outerStub: Any = None) -> Any:
        """One call; one that may be repeated is, after a transient failure of the transport and a pause."""
        tries = TRIES if info.wsdlName in REPEATABLE or info.wsdlName == "Login" else 1
        for attempt in range(1, tries + 1):
            try:
                return super().InvokeMethod(mo, info, args, outerStub)
            except (ConnectionError, ssl.SSLEOFError, http.client.HTTPException) as error:
                pause = BACKOFF * 2 ** (attempt - 1)
                # After a lost answer nobody knows whether one is logged in.
                if info.wsdlName == "Login" and not was_turned_away(error):
                    raise
                if attempt == tries or not is_transient(error) or pause >= self._seconds_left():
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable")

    def _timeout(self) -> float:
        # A second more than is left, so that the waiter's own deadline speaks first.
        return min(self._call_timeout, self._seconds_left() + 1.0)


class _Response(http.client.HTTPResponse):
    """An answer. vCenter tells its faults with status 500; one without SOAP comes from something in between."""

    def begin(self) -> None:
        super().begin()
        if self.status == 500 and "xml" not in (self.getheader("Content-Type") or ""):
            raise http.client.HTTPException(f"{self.status} {self.reason}")


def was_turned_away(error: BaseException | None) -> bool:
    """Whether a call did not reach vCenter's service, so that nothing was done."""
    return isinstance(error, http.client.HTTPException) and str(error).startswith("503")


def is_transient(error: BaseException) -> bool:
    """A reset or closed connection, or a service that is just starting or overloaded."""
    if isinstance(error, ConnectionRefusedError):
        return False
    if isinstance(error, ConnectionError | ssl.SSLEOFError | http.client.IncompleteRead):
        return True
    return str(error).startswith(("502", "503", "504"))


def http_pool(connection: Connection) -> Any:
    """urllib3's pool with the same TLS, proxy and concurrency."""
    import urllib3

    settings: dict[str, Any] = {
        "ssl_context": tls_context(connection),
        # urllib3 sets the context's mode from this one.
        "cert_reqs": "CERT_REQUIRED" if connection.validate_certs else "CERT_NONE",
        "maxsize": connection.concurrency,
    }
    if not connection.validate_certs:
        settings["assert_hostname"] = False
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the user has decided
    if connection.proxy_host:
        return urllib3.ProxyManager(
            f"http://{bracketed(connection.proxy_host)}:{connection.proxy_port or 80}", **settings
        )
    return urllib3.PoolManager(**settings)


def http_retries(method: str) -> Any:
    """Which HTTP requests urllib3 makes again: reads alone. Of an upload the bytes that were sent are gone."""
    import urllib3

    return urllib3.Retry(
        total=TRIES - 1 if method in ("GET", "HEAD") else 0,
        backoff_factor=BACKOFF,
        status_forcelist=(502, 503, 504),
        allowed_methods=("GET", "HEAD"),
        redirect=False,
        raise_on_status=False,
    )


def bracketed(host: str) -> str:
    """An IPv6 address in the brackets that a URL wants; anything else unchanged."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
