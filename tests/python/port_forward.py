"""port-forward with the Python client: the channels of a WebSocket."""
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
print("forwarded")
