# Runs in the Debian VM of benches/sleepers.sh, as root: sets the peers' sites up, says which of them are awake and how much
# memory is left, and times bare starts of the same programs, which no peer has a part in. Answers on port 8000:
# /setup?sites=20&idle=30, /awake?peer=systemd, /memory, /bare?program=node, /log
import glob
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlparse

HERE = pathlib.Path("/srv")
PEERS = {"systemd": "node-hello", "uwsgi": "hello.py", "passenger": "node-hello"}
VASSALS = pathlib.Path("/etc/uwsgi-emperor/vassals")


def run(*command):
    subprocess.run(command, check=True)


def fill(name, **words):
    text = (HERE / "etc" / name).read_text()
    for word, value in words.items():
        text = text.replace(word, str(value))
    return text


def awake(peer):
    """How many sites of a peer have a process, which is one that works in the site's folder."""
    found = set()
    for link in glob.glob("/proc/[0-9]*/cwd"):
        try:
            folder = os.readlink(link).split("/")
        except OSError:
            continue
        if folder[1:3] == ["srv", peer]:
            found.add(folder[3])
    return len(found)


def folders(sites):
    """Each site has a folder of its own with its program in it, as each has under Kennel."""
    for peer, program in PEERS.items():
        for site in sites:
            folder = HERE / peer / site
            shutil.rmtree(folder, ignore_errors=True)
            if program == "node-hello":
                shutil.copytree(HERE / program, folder)
            else:
                folder.mkdir(parents=True)
                shutil.copy(HERE / program, folder)
            (folder / "public").mkdir()
            (folder / "tmp").mkdir()
    run("chown", "-R", "www-data:www-data", *(str(HERE / peer) for peer in PEERS))


def setup(count, idle):
    """So many sites of each peer, none awake, that fall asleep after so many seconds."""
    sites = [f"{number:02}" for number in range(1, count + 1)]
    run("systemctl", "stop", "site@*.socket", "site@*.service", "program@*.service", "uwsgi-emperor", "apache2", "nginx")
    folders(sites)
    pathlib.Path("/run/sleepers.env").write_text(f"IDLE={idle}\n")
    for unit in ("site@.socket", "site@.service", "program@.service"):
        shutil.copy(HERE / "etc" / unit, "/etc/systemd/system")
    shutil.copy(HERE / "etc/nginx.conf", "/etc/nginx/conf.d/sites.conf")
    shutil.copy(HERE / "etc/emperor.ini", "/etc/uwsgi-emperor")
    for old in VASSALS.iterdir():
        old.unlink()
    for site in sites:
        (VASSALS / f"{site}.ini.socket").write_text(f"/run/uwsgi/{site}.sock\n")
        (VASSALS / f"{site}.ini").write_text(fill("vassal.ini", SITE=site, IDLE=idle))
    apache = fill("apache.conf", IDLE=idle) + "".join(f"Use Site {site}\n" for site in sites)
    pathlib.Path("/etc/apache2/ports.conf").write_text(apache)
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "nginx", "uwsgi-emperor", "apache2", *(f"site@{site}.socket" for site in sites))
    return "ready\n"


def memory():
    """Bytes that are available, and free pages that the processors keep at hand, which are in no figure of /proc/meminfo."""
    words = pathlib.Path("/proc/meminfo").read_text().split()
    available = int(words[words.index("MemAvailable:") + 1]) * 1024
    at_hand = 0
    for zone in pathlib.Path("/proc/zoneinfo").read_text().split("\nNode "):
        lines = zone.partition("  pagesets\n")[2].splitlines()
        at_hand += sum(int(line.split()[1]) for line in lines if line.strip().startswith("count:"))
    return available + at_hand * os.sysconf("SC_PAGE_SIZE")


# What a start is, the line by which the program says that it can be connected to, and where.
BARE = {
    "node": ([str(HERE / "node"), "server.js"], HERE / "node-hello", "listening", 19000),
    "uwsgi": (["uwsgi", "--plugins", "python3", "--wsgi-file", "hello.py", "--master", "--processes", "1",
               "--http-socket", "127.0.0.1:19001"], HERE, "bound to", 19001),
}


def bare(program):
    """Milliseconds from a bare start to the first byte of a page."""
    command, folder, word, port = BARE[program]
    began = time.monotonic()
    child = subprocess.Popen(command, cwd=folder, env={"PATH": "/usr/bin", "PORT": str(port)}, text=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in child.stdout:
        if word in line:
            break
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        first = connection.recv(1)
    took = (time.monotonic() - began) * 1000
    # uWSGI's master ends its worker at this, and not at SIGTERM.
    child.send_signal(signal.SIGINT)
    child.stdout.read()
    child.wait()
    if first != b"H":
        raise ValueError(f"{program} gave no page")
    return f"{took:.1f}\n"


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        address = urlparse(self.path)
        asked = {key: values[0] for key, values in parse_qs(address.query).items()}
        try:
            match address.path:
                case "/setup":
                    answer = setup(int(asked["sites"]), int(asked["idle"]))
                case "/awake":
                    answer = awake(asked["peer"])
                case "/memory":
                    answer = memory()
                case "/bare":
                    answer = bare(asked["program"])
                case "/log":
                    answer = subprocess.run(["sh", "-c", "journalctl -n 300 --no-pager; tail -n 100 /var/log/apache2/error.log"],
                                            capture_output=True, text=True).stdout
            status = 200
        except Exception as error:
            status, answer = 500, repr(error)
        body = str(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


HTTPServer(("", 8000), Answers).serve_forever()
