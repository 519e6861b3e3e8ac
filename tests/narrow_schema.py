"""A proxy before a model of random weights that narrows the schema of each answer, until all that
is left to the weights are the reasons.

They can copy no document's code, keep no canary, and give scores that no student could learn. So
these values become constants of the schema, as the heuristic judge gives them; the server has to
make a grammar of it and the model to follow that. All else passes through as it is, statuses too.
"""

import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.judge_stub import by_heuristic


class NarrowSchema:
    """The proxy, on loopback; `statuses` are those of the answers, in their order."""

    def __init__(self, server_url: str) -> None:
        self.statuses: list[int] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                form = asked["response_format"]["json_schema"]
                form["schema"] = narrow(json.loads(by_heuristic(asked["messages"], form["schema"])))
                url = server_url.removesuffix("/v1") + self.path
                status, body = _post(url, json.dumps(asked).encode())
                proxy.statuses.append(status)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def narrow(value: Any, key: str = "") -> dict[str, Any]:
    """The schema of exactly this value, but for its reasons, which may be any short text."""
    if key == "reason" and value is not None:
        return {"type": "string", "maxLength": 24}
    if isinstance(value, dict):
        properties = {name: narrow(each, name) for name, each in value.items()}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
    if isinstance(value, list):
        return {"type": "array", "prefixItems": [narrow(each) for each in value]}
    return {"const": value}


def _post(url: str, body: bytes) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
