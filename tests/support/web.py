"""A container's web server, asked over HTTP as soon as the container is said to run."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

# A process that runs may not listen yet: on an emulated processor it needs a second or two for that.
_RETRY = Retry(total=40, backoff_factor=0.1, backoff_max=1.0)


def ask(url: str) -> dict[str, Any]:
    """What the lab's web server says of itself."""
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=_RETRY))
        answer: dict[str, Any] = session.get(url, timeout=30).json()
    return answer
