"""nginx with its default buffers, before the proxy and before the node."""
import pathlib
import shutil
import subprocess

from programs import free_port, wait_for_port

# Nothing here but what a reverse proxy can't do without: sizes and HTTP version of upstream are nginx's defaults. The node
# speaks TLS 1.3 only, which nginx doesn't offer to an upstream by itself. client_max_body_size is no buffer.
CONFIGURATION = """
daemon off;
master_process off;
pid {state}/nginx.pid;
error_log {state}/nginx-error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {state}/body;
    proxy_temp_path {state}/proxy;
    fastcgi_temp_path {state}/fastcgi;
    uwsgi_temp_path {state}/uwsgi;
    scgi_temp_path {state}/scgi;
    proxy_read_timeout 300s;
    server {{
        listen 127.0.0.1:{before_proxy};
        location / {{
            proxy_pass http://127.0.0.1:{proxy};
        }}
    }}
    server {{
        listen 127.0.0.1:{before_node};
        location / {{
            proxy_pass https://127.0.0.1:{node};
            proxy_ssl_protocols TLSv1.3;
            proxy_ssl_name localhost;
            proxy_ssl_server_name on;
            proxy_ssl_trusted_certificate {leaf};
            proxy_ssl_verify on;
        }}
    }}
}}
"""


class Nginx:
    def __init__(self, node, state):
        self.node, self.state = node, pathlib.Path(state)
        self.before_proxy, self.before_node = free_port(), free_port()

    def __enter__(self):
        configuration = self.state / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(
            state=self.state, before_proxy=self.before_proxy, before_node=self.before_node, proxy=self.node.proxy_port,
            node=self.node.node_port, leaf=self.node.leaf))
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        log = open(self.state / "nginx.log", "wb")
        self.process = subprocess.Popen([program, "-c", str(configuration)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for_port(self.before_proxy, 20)
        wait_for_port(self.before_node, 20)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
