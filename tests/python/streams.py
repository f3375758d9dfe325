"""WebSockets without kubectl: port-forward by channels, and a log by messages."""
import base64

import websocket
from kubernetes import client, config
from kubernetes.stream import portforward

config.load_kube_config()
core = client.CoreV1Api()


def forward(*ports):
    names = ",".join(map(str, ports))
    return portforward(core.connect_get_namespaced_pod_portforward, "p", "default", ports=names)


def everything(socket):
    socket.settimeout(20)
    parts = []
    while part := socket.recv(65536):
        parts.append(part)
    return b"".join(parts)


both = forward(8080, 9000)
page = both.socket(8080)
page.sendall(b"GET / HTTP/1.0\r\n\r\n")
echo = both.socket(9000)
echo.settimeout(20)
echo.sendall(b"hello")
got = b""
while len(got) < 5:
    got += echo.recv(5 - len(got))
assert got == b"hello", got
text = page.recv(65536)
while not text.endswith(b"\r\n\r\nthe page\n"):
    part = page.recv(65536)
    assert part, text
    text += part
assert both.error(8080) is None and both.error(9000) is None
both.socket(8080).close()
both.socket(9000).close()

refused = forward(81)
assert everything(refused.socket(81)) == b""
assert "connect: connection refused" in refused.error(81), refused.error(81)


def log(protocols):
    settings = client.Configuration.get_default_copy()
    address = settings.host.replace("https", "wss") + "/api/v1/namespaces/default/pods/p/log?container=page"
    token = settings.get_api_key_with_prefix("BearerToken")
    socket = websocket.create_connection(
        address, header=["Authorization: " + token], subprotocols=protocols, sslopt={"ca_certs": settings.ssl_ca_cert}
    )
    messages = []
    while True:
        sort, data = socket.recv_data()
        if sort == websocket.ABNF.OPCODE_CLOSE:
            assert int.from_bytes(data[:2], "big") == 1000, data
            return socket.getsubprotocol(), messages
        messages.append((sort, data))


chosen, messages = log(["binary.k8s.io"])
assert chosen == "binary.k8s.io" and messages[0] == (websocket.ABNF.OPCODE_BINARY, b""), (chosen, messages)
assert b"".join(data for _, data in messages) == b"page up\n", messages
chosen, messages = log(["base64.binary.k8s.io"])
assert chosen == "base64.binary.k8s.io" and messages[0] == (websocket.ABNF.OPCODE_TEXT, b""), (chosen, messages)
assert b"".join(base64.b64decode(data) for _, data in messages) == b"page up\n", messages
try:
    log(["other"])
    raise AssertionError("a protocol that nobody speaks")
except websocket.WebSocketBadStatusException as error:
    assert error.status_code == 403, error
print("all came through")
