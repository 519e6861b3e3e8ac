"""Requests to the server of a served student: tried again, paced and given up as a judge's are.

One request at a time. How much of an answer is read is bounded, and nothing is decompressed.
"""

import json
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mira_spark.errors import OutageError
from mira_spark.judges.calls import openai_sdk
from mira_spark.judges.calls.secret import Secret, scrubbed
from mira_spark.judges.calls.throttle import Throttle, is_retryable, retry_after_s
from mira_spark.judges.protocol import CallFailed
from mira_spark.settings.students import ServedSettings
from mira_spark.settings.urls import checked_url

NEEDED_BY = "a served student"
_ATTEMPTS = 3
OUTAGE_S = 300.0
"""After so long without an answer no more is asked. Less than `scoring.hung_after_s`."""
LONGEST_WAIT_S = 60.0
"""What a Retry-After counts at most."""
BYTES_PER_PROMPT = 65_536
"""Of an answer so much is read for each prompt: 20 likeliest tokens take about 1 kB."""
_LONGEST_REFUSAL = 4_096


class Requests:
    """Asks one server. Constructing it sends nothing; ConfigError when the SDK is missing or the
    URL may not be asked."""

    def __init__(self, server: ServedSettings, secret: Secret) -> None:
        sdk = openai_sdk.load(NEEDED_BY)
        http = openai_sdk.http(sdk)
        self._server, self._secret = server, secret
        self._url = checked_url(server.url, server.hosts).rstrip("/")
        self._broken = (http.RequestError, OSError)
        transport = http.HTTPTransport(trust_env=False)
        self._client = http.Client(
            transport=openai_sdk.with_own_headers(transport, secret),
            timeout=server.timeout_s,
            trust_env=False,
            follow_redirects=False,
        )
        self._throttle = Throttle(1, OUTAGE_S)

    def post(self, path: str, content: Mapping[str, Any]) -> bytes:
        """The body of an answer with status 2xx.

        Raises CallFailed when there was none after ATTEMPTS, fewer where another would not help,
        and a lasting OutageError when the server is not to be asked any more.
        """
        attempt = 0
        while True:
            self._wait(self._throttle.opens_at)
            self._throttle.probing = self._throttle.cautious
            attempt += 1
            try:
                body = self._send_once(path, content)
                self._throttle.answered(running=1)
                return body
            except CallFailed as failure:
                due = self._retry_time(failure, attempt)
            self._wait(due)

    def _retry_time(self, failure: CallFailed, attempt: int) -> float:
        """When to try again; raises where not."""
        asked = min(retry_after_s(failure.retry_after, datetime.now(UTC)), LONGEST_WAIT_S)
        backoff = random.uniform(0.5, 1) * self._server.pause_s * 2.0 ** (attempt - 1)
        now = time.monotonic()
        over = self._throttle.failed(failure.status, asked, backoff, now, scarce=False)
        if over is not None:
            self._throttle = Throttle(1, OUTAGE_S)  # for the next task of this process
            raise OutageError(f"{over}; {failure}".replace("judge.", "served."), lasting=True)
        if attempt == _ATTEMPTS or not is_retryable(failure.status):
            raise failure
        return now + max(asked, backoff)

    def _wait(self, until: float) -> None:
        time.sleep(max(0.0, until - time.monotonic()))

    def _send_once(self, path: str, content: Mapping[str, Any]) -> bytes:
        """One attempt."""
        most = BYTES_PER_PROMPT * max(1, len(content.get("prompt", ())))
        raw = json.dumps(content).encode()
        retry_after = None
        try:
            with self._client.stream("POST", f"{self._url}/{path}", content=raw) as response:
                status = response.status_code
                body = self._read(response, most if response.is_success else _LONGEST_REFUSAL)
                retry_after = response.headers.get("retry-after")
        except self._broken as error:
            reason, status = f"connection: {type(error).__name__}: {error}", None
        else:
            if 200 <= status <= 299:
                return body
            reason = f"status {status}: {body.decode(errors='replace')}"
        # Outside the handler: what the library raises holds the request, and so its headers.
        said = scrubbed(" ".join(reason.split()), [self._secret])[:300]
        raise CallFailed(said, status, retry_after)

    def _read(self, response: Any, most: int) -> bytes:
        """At most so many bytes, as they were sent: a body that is compressed is no answer."""
        last = time.monotonic() + self._server.timeout_s
        content = bytearray()
        for chunk in response.iter_raw():
            content += chunk
            if len(content) >= most:
                break
            if time.monotonic() > last:
                raise TimeoutError(f"no whole answer in {self._server.timeout_s:g} s")
        return bytes(content[:most])
