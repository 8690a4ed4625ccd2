"""A web server as a tenant may have one in a container: Python's own, with what the tests of routes ask for. Prints its port."""
import hashlib
import http.server
import json
import socket
import sys
import threading
import time

PIECE = bytes(range(256)) * 256
GO = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status not in (204, 304):
            self.send_header("Content-Length", len(body))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/headers":
            self.answer(json.dumps([self.requestline, self.headers.items()]).encode(), Connection="X-Hop", X_Hop="secret")
        elif path == "/big":
            count = int(query)
            self.send_response(200)
            self.send_header("Content-Length", count * len(PIECE))
            self.end_headers()
            for _ in range(count):
                self.wfile.write(PIECE)
        elif path == "/first":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.chunk(b"first")
            GO.wait(60)
            self.chunk(b"second")
            self.wfile.write(b"0\r\n\r\n")
        elif path == "/go":
            GO.set()
            self.answer(b"gone")
        elif path == "/slow":
            time.sleep(int(query))
            self.answer(b"late")
        elif path == "/nothing":
            self.answer(b"", 204)
        elif path == "/same":
            self.answer(b"", 304, ETag='"a"')
        elif path == "/garbage":
            self.wfile.write(b"no HTTP\r\n\r\n")
            self.close_connection = True
        elif path == "/echo" and self.headers["Upgrade"] == "echo":
            self.send_response(101)
            self.send_header("Connection", "upgrade")
            self.send_header("Upgrade", "echo")
            self.end_headers()
            while data := self.rfile.read1(65536):
                self.wfile.write(data)
            self.wfile.write(b"bye")
            self.close_connection = True
        else:
            self.answer(b"hello " + self.path.encode())

    do_HEAD = do_GET

    def do_POST(self):
        digest = hashlib.sha256()
        left = int(self.headers["Content-Length"] or 0)
        if self.headers["Transfer-Encoding"] == "chunked":
            while size := int(self.rfile.readline(), 16):
                digest.update(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        while left:
            data = self.rfile.read(min(left, 65536))
            digest.update(data)
            left -= len(data)
        self.answer(digest.hexdigest().encode())

    def log_message(self, *_):
        pass


def hashes():
    """What isn't HTTP: reads to the end, then says what it was."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            stream, _ = server.accept()
            threading.Thread(target=digest, args=(stream,), daemon=True).start()

    def digest(stream):
        found = hashlib.sha256()
        while data := stream.recv(65536):
            found.update(data)
        stream.sendall(found.hexdigest().encode())
        stream.close()

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        """Clients that leave early."""


server = Server(("127.0.0.1", 0), Handler)
print(server.server_port, hashes(), flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
server.serve_forever()
