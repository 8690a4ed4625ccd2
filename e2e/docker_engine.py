"""A Docker engine and a registry of a test's own: dockerd and Debian's docker-registry on loopback, with images that are made
here from programs of this machine. What is started here is ended here, by process id."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

from programs import Programs, arguments, free_port, wait_for_port, wait_until

APPLETS = ("sh cat ls echo id ps sleep httpd dd sha256sum wc head true false env kill yes mkdir rm nc tr seq stty hostname touch wget "
           "stat sync tty").split()
# Of the machine's own system: what makes a root that feels like Debian's.
DEBIAN = "bash cat ls id sleep sha256sum dd head wc stty tty env mkdir rm touch".split()


class Engine(Programs):
    """`root`: a folder with a short path, for sockets lie in it."""

    def __init__(self, root):
        super().__init__(root)
        self.socket = self.state / "docker.sock"
        self.cgroup = f"jeju-{os.getpid()}-{self.state.name}"
        self.daemon = None
        self.registry_port = free_port()

    def start(self):
        self.state.mkdir(parents=True, exist_ok=True)
        self.start_registry()
        self.start_daemon()

    def start_daemon(self):
        assert os.geteuid() == 0, "dockerd takes root"
        self.daemon = self.spawn(
            "dockerd", "dockerd", "--host", f"unix://{self.socket}", "--data-root", self.state / "data", "--exec-root", self.state / "exec",
            "--pidfile", self.state / "pid", "--bridge", "none", "--cgroup-parent", f"/{self.cgroup}", "--log-level", "error",
            "--exec-opt", "native.cgroupdriver=cgroupfs", env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
        wait_until("dockerd answers", 60, self.answers, pause=0.05)

    def start_registry(self):
        config = self.state / "registry.yml"
        config.write_text(json.dumps({"version": 0.1, "log": {"level": "error", "accesslog": {"disabled": True}}, "http": {"addr": f"127.0.0.1:{self.registry_port}"},
                                      "storage": {"filesystem": {"rootdirectory": str(self.state / "registry")}}}))
        self.spawn("registry", "docker-registry", "serve", config)
        wait_for_port(self.registry_port, 30)

    def answers(self):
        if self.daemon.poll() is not None:
            raise RuntimeError(f"dockerd ended with {self.daemon.returncode}: {(self.state / 'dockerd.log').read_text()[-2000:]}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/_ping")[0] == 200
        return False

    def kill(self):
        """kill -9: its containerd goes with it, and what runs in containers goes on."""
        self.end(self.daemon, signal.SIGKILL)
        # The next daemon would take it for alive where the machine's first process doesn't bury it.
        (self.state / "exec/containerd/containerd.pid").unlink(missing_ok=True)

    # ------------------------------------------------------------------ what it is asked

    def request(self, method, path, body=None):
        """Status and JSON, or text that is none."""
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, body, {"content-type": "application/json"} if body else {})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        with contextlib.suppress(ValueError):
            return response.status, json.loads(answer)
        return response.status, answer

    def docker(self, *args, stdin=None):
        done = subprocess.run(arguments(["docker", "--host", f"unix://{self.socket}", *args]), input=stdin, capture_output=True,
                              timeout=120, env={**os.environ, "DOCKER_API_VERSION": "1.41"})
        if done.returncode:
            raise RuntimeError(f"docker {args[0]}: {done.stderr.decode()}")
        return done.stdout.decode().strip()

    def containers(self):
        """Names, those that ended as well."""
        return sorted(name.removeprefix("/") for container in self.request("GET", "/v1.41/containers/json?all=1")[1]
                      for name in container["Names"])

    def networks(self):
        """Names of those that Docker doesn't bring along."""
        return sorted(network["Name"] for network in self.request("GET", "/v1.41/networks")[1]
                      if network["Name"] not in ("bridge", "host", "none"))

    def inspect(self, name):
        """What it says of a container; none if there isn't one."""
        status, found = self.request("GET", f"/v1.41/containers/{name}/json")
        return found if status == 200 else None

    # ------------------------------------------------------------------ images

    def publish(self, name, tree, *changes):
        """Puts a folder into the registry as an image; returns its reference by digest. The engine itself forgets it."""
        at = f"127.0.0.1:{self.registry_port}/{name}"
        tar = subprocess.run(["tar", "--directory", tree, "--create", "--owner=0", "--group=0", "--numeric-owner", "."], check=True,
                             capture_output=True).stdout if tree else bytes(10240)
        self.docker("import", *(part for change in changes for part in ("--change", change)), "-", f"{at}:1", stdin=tar)
        digest = re.search(r"digest: (sha256:[0-9a-f]{64})", self.docker("push", f"{at}:1"))[1]
        self.docker("rmi", f"{at}:1")
        return f"{at}@{digest}"

    def publish_busybox(self):
        tree = self.state / "busybox"
        (tree / "bin").mkdir(parents=True)
        shutil.copy(program("busybox"), tree / "bin/busybox")
        for applet in APPLETS:
            (tree / "bin" / applet).symlink_to("busybox")
        (tree / "tmp").mkdir(mode=0o1777)
        return self.publish("busybox", tree, 'CMD ["/bin/sh"]')

    def publish_empty(self):
        """Nothing at all, as of `FROM scratch`."""
        return self.publish("empty", None)

    def publish_debian(self):
        """bash and a handful of programs of this machine, with their libraries."""
        tree = self.state / "debian"
        for name in DEBIAN:
            copy_with_libraries(program(name), tree)
        for folder in "tmp", "root", "etc":
            (tree / folder).mkdir(exist_ok=True)
        (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
        return self.publish("debian", tree, 'CMD ["/bin/bash"]', "ENV PATH=/usr/bin:/bin")

    # ------------------------------------------------------------------ the end

    def stop(self):
        if self.daemon is not None:
            with contextlib.suppress(Exception):
                if self.daemon.poll() is not None:
                    self.start_daemon()
                self.clear()
        super().stop()
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.unmount()
        for folder in pathlib.Path("/sys/fs/cgroup").glob(f"**/{self.cgroup}"):
            with contextlib.suppress(OSError):
                folder.rmdir()
        for folder in "data", "exec", "registry":
            shutil.rmtree(self.state / folder, ignore_errors=True)

    def clear(self):
        """Removes all containers and networks."""
        for name in self.containers():
            self.request("DELETE", f"/v1.41/containers/{name}?force=1&v=1")
        for name in self.networks():
            self.request("DELETE", f"/v1.41/networks/{name}")

    def left(self):
        """Processes that a killed daemon left: those in containers, and those that hold containers."""
        found = []
        for folder in pathlib.Path("/sys/fs/cgroup").glob(f"**/{self.cgroup}/**/cgroup.procs"):
            with contextlib.suppress(OSError):
                found += [int(pid) for pid in folder.read_text().split()]
        for command in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if f"{self.state}/exec/".encode() in command.read_bytes():
                    found.append(int(command.parent.name))
        return found

    def unmount(self):
        mounted = [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
        for path in sorted(mounted, reverse=True):
            if path.startswith(f"{self.state}/"):
                subprocess.run(["umount", "--lazy", path], check=False)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("docker", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def program(name):
    found = shutil.which(name)
    assert found, f"{name} isn't installed: scripts/setup.sh test"
    return found


def copy_with_libraries(path, tree):
    """A program to /usr/bin of a tree, and what it is linked with to where it is here."""
    (tree / "usr/bin").mkdir(parents=True, exist_ok=True)
    if not (tree / "bin").is_symlink():
        (tree / "bin").symlink_to("usr/bin")
    shutil.copy(path, tree / "usr/bin")
    libraries = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
    for library in re.findall(r"(/\S+)", libraries):
        target = tree / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy(library, target)


if __name__ == "__main__":
    # Tries it out: an engine, its images, a container, a kill and the end.
    with Engine(f"/tmp/je-{os.getpid()}") as engine:
        started = time.monotonic()
        images = [engine.publish_busybox(), engine.publish_empty(), engine.publish_debian()]
        print(images, f"{time.monotonic() - started:.1f} s")
        for image in images[0], images[2]:
            print(engine.docker("run", "--rm", "--network", "none", image, "/bin/sh" if image is images[0] else "/bin/bash", "-c", "id; ls /"))
        engine.docker("network", "create", "n1")
        engine.docker("run", "--detach", "--network", "n1", "--name", "c1", images[0], "sleep", "1000")
        engine.kill()
        engine.start_daemon()
        print(engine.containers(), engine.networks(), engine.inspect("c1")["State"])
        print(engine.left())
    print(engine.left())
