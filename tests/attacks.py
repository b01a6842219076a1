"""What a hostile client sends: requests as bytes, each with its kind."""

import random
from collections.abc import Iterator

from support import SLUG

SESSION = f"Cookie: __Host-{SLUG}=".encode()
FORM = b"Content-Type: application/x-www-form-urlencoded"
MULTIPART = b"Content-Type: multipart/form-data; boundary=b"
FIELD = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
CHUNK = b"%x\r\n" % 65536 + b"x" * 65536 + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked"

SESSIONS = [
    *(b"", b"=", b".", b"..", b'"', b"{}", b"\xff\xfe\x00", b"\x80" * 99, b"x" * 7000),
    b"eyJ" + b"A" * 4000 + b".a.b",
    b".eJw" + b"A" * 4000 + b".aSABCD.abcdefghijklmnopqrstuvwxyz0",  # says that it is compressed
]
HOSTS = [
    *(b"", b"*", b"evil.example", b"localhost@evil", b"localhost, evil.example", b"a b", b"x" * 5000),
    *(b"localhost:", b"localhost:99999999", b"localhost.", b"LOCALHOST", b"127.1", b"[::1", b"\xff", b"localhost\x00"),
]
TEXTS = [b"\xff\xfe", b"%ff%fe", b"%c0%ae", b"%ed%a0%80", b"%00", b"%0d%0aX: y", b"%", b"%zz", b"\xc3\x28"]
FILES = [
    *(b"../__init__.py", b"..%2f__init__.py", b"....//__init__.py", b"%2e%2e/config/default.py"),
    *(b"..\\..\\.env", b"..%5c..%5c.env", b"%2e%2e%2f%2e%2e%2f.env", b"/etc/passwd", b"//etc/passwd"),
    *(b"style.css%00.py", b"style.css/", b"", b".", b"..", b"~", b"C:/x", b"NUL", b"con.txt"),
    *(b"x" * 3000, b"/".join([b".."] * 500)),
]
METHODS = [b"FOO", b"get", b"TRACE", b"CONNECT", b"PRI", b"G\x00T", b"X" * 5000]
LENGTHS = {b"3000000": b"a" * 3_000_000, b"99999999999999": b"a" * 1000, b"-1": b"a=b", b"x": b"a=b"}
CHUNKS = [
    *(CHUNK * 60 + b"0\r\n\r\n", b"zz\r\nx\r\n0\r\n\r\n", b"ffffffffffffffffff\r\nx", b"-1\r\nx\r\n0\r\n\r\n"),
    *(b"0x3\r\na=b\r\n0\r\n\r\n", b"3\na=b\n0\n\n", b"3\r\na=bc\r\n0\r\n\r\n", b"3", b"3\r\na", b"", b"\r\n\r\n"),
]
# A body that is another request for whoever reads it as chunks, under headers that readers understand differently.
SMUGGLED = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
ENCODINGS = [
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: xchunked", b"Transfer-Encoding : chunked"),
    *(b"Transfer-Encoding:\tchunked", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked"),
    *(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", b"X: y\nTransfer-Encoding: chunked"),
    *(b"Transfer-Encoding: \x0bchunked", b"Transfer_Encoding: chunked", b"X: y\r\n Transfer-Encoding: chunked"),
    *(b"X: y\rTransfer-Encoding: chunked", b"Transfer-Encoding:\r\n chunked", b'Transfer-Encoding: "chunked"'),
    *(
        b"Content-Length: 0",
        b"Content-Length: +5",
        b"Content-Length: 5, 5",
        b"Content-Length: 0x5",
        b"Content_Length: 5",
    ),
]
PARTS = [
    FIELD + b"x" * 600_000 + b"\r\n--b--",
    (FIELD + b"x\r\n") * 5000 + b"--b--",
    FIELD,
    b"--b\r\n" + b"x: " + b"y" * 90_000,
]


def request(path: bytes, *headers: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    """A request to this machine for one response, unless `headers` have another host or connection."""
    lines = [method + b" " + path + b" HTTP/1.1"]
    for default in (b"Host: localhost", b"Connection: close"):
        name = default.partition(b" ")[0]
        lines += [] if any(header.startswith(name) for header in headers) else [default]
    return b"\r\n".join([*lines, *headers, b"", body])


def post(body: bytes, *headers: bytes, length: bytes = b"", path: bytes = b"/act") -> bytes:
    """A form that is sent."""
    size = b"Content-Length: " + (length or b"%d" % len(body))
    return request(path, *headers, size, method=b"POST", body=body)


def attacks() -> Iterator[tuple[str, bytes]]:
    """Every one, with its kind."""
    for value in SESSIONS:
        yield "cookie", request(b"/", SESSION + value)
    yield "cookie", request(b"/", b"Cookie: " + b"; ".join(b"a%d=b" % each for each in range(900)))
    for size in (8191, 65536, 1_000_000):
        yield "header", request(b"/", b"X-Flood: " + b"x" * size)
        yield "header", request(b"/" + b"x" * size)
    yield "header", request(b"/", *(b"X-%d: x" % each for each in range(5000)))
    yield "header", request(b"/", b": x", b"\x00: x", b"X Y: z", b"X: \x00")
    for name in HOSTS:
        yield "host", request(b"/", b"Host: " + name)
        yield "host", post(b"a=b", b"Host: " + name, FORM)
    yield "host", b"GET / HTTP/1.1\r\n\r\n"
    yield "host", b"GET / HTTP/1.0\r\n\r\n"
    yield "host", request(b"http://evil.example/")
    yield "host", request(b"/", b"Host: localhost", b"Host: evil.example")
    for text in TEXTS:
        yield "text", request(b"/" + text)
        yield "text", request(b"/seen?a=" + text)
        yield "text", request(b"/", *(name + b": " + text for name in (b"X-Forwarded-For", b"Accept", b"Range")))
        yield "text", request(b"/act", b"Origin: " + text, b"Sec-Fetch-Site: " + text, method=b"POST")
        yield "text", post(b"a=" + text, FORM)
        yield "text", post(text, MULTIPART)
    for name in FILES:
        yield "static", request(b"/static/" + name)
    odd = (b"Range: bytes=5-2", b"If-Modified-Since: never", b"If-None-Match: \xff")
    yield "range", request(b"/static/style.css", *odd)
    for method in METHODS:
        yield "method", request(b"/", method=method)
    for length, body in LENGTHS.items():
        yield "body", post(body, FORM, length=length)
    for body in CHUNKS:
        yield "body", request(b"/act", FORM, CHUNKED, method=b"POST", body=body)
    for encoding in ENCODINGS:
        yield "smuggle", post(SMUGGLED, FORM, encoding, b"Connection: keep-alive")
        yield "smuggle", post(SMUGGLED, encoding, b"Connection: keep-alive", path=b"/")  # where nothing reads a body
    yield "body", request(b"/", b"Content-Length: 5", body=b"abcde")
    for body in PARTS:
        yield "body", post(body, MULTIPART)
    some = random.Random(7)  # noqa: S311  # the same noise each time
    for _ in range(60):
        yield "noise", some.randbytes(some.randrange(1, 3000)) + b"\r\n\r\n"
