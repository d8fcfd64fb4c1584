"""Clients for benches/neighbour.sh, bounded in number and time, for loopback only.

client.py page PORT HOST SECONDS RATE      asks for / at a steady rate, a connection each; prints milliseconds, one a line,
                                           or "failed" for what was not answered with 200 within 30 s
client.py slow PORT HOST SECONDS COUNT     COUNT connections that ask for /long and read 1 KiB a second
client.py download PORT HOST SECONDS COUNT COUNT connections that ask for /long and read as fast as it comes
client.py idle PORT HOST SECONDS COUNT     COUNT connections that send half of a request's head and wait
"""

import socket
import sys
import threading
import time


def request(port, host, path, sock):
    sock.settimeout(30)
    sock.connect(("127.0.0.1", port))
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())


def page(port, host, seconds, rate):
    printing = threading.Lock()

    def once(due):
        try:
            with socket.socket() as sock:
                request(port, host, "/", sock)
                head = sock.recv(65536)
                answer = head
                while answer:
                    answer = sock.recv(65536)
            took = f"{(time.monotonic() - due) * 1000:.1f}" if b" 200 " in head[:20] else "failed"
        except OSError:
            took = "failed"
        with printing:
            print(took, flush=True)

    began = time.monotonic()
    threads = []
    for n in range(int(seconds * rate)):
        # From when it was due, so that a stall counts for everyone who would have come in the meantime.
        due = began + n / rate
        time.sleep(max(0, due - time.monotonic()))
        threads.append(threading.Thread(target=once, args=(due,)))
        threads[-1].start()
    for thread in threads:
        thread.join()


def hold(port, host, seconds, count, slow):
    end = time.monotonic() + seconds
    held = []
    for _ in range(int(count)):
        sock = socket.socket()
        # Small, and in the segments of a network rather than of loopback: QEMU's side would take megabytes for each
        # connection otherwise, and what is not read would never come back to the host that is measured.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
        try:
            if slow:
                request(port, host, "/long", sock)
            else:
                sock.settimeout(5)
                sock.connect(("127.0.0.1", port))
                sock.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n".encode())
            sock.setblocking(False)
            held.append(sock)
        except OSError:
            sock.close()
    while time.monotonic() < end:
        time.sleep(1)
        for sock in held if slow else []:
            try:
                sock.recv(1024)
            except OSError:
                pass


def download(port, host, seconds, count):
    end = time.monotonic() + seconds

    def one():
        while time.monotonic() < end:
            try:
                with socket.socket() as sock:
                    request(port, host, "/long", sock)
                    while time.monotonic() < end and sock.recv(65536):
                        pass
            except OSError:
                time.sleep(0.1)

    threads = [threading.Thread(target=one) for _ in range(int(count))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    kind, port, host, seconds, number = sys.argv[1:]
    if kind == "page":
        page(int(port), host, float(seconds), float(number))
    elif kind == "download":
        download(int(port), host, float(seconds), float(number))
    else:
        hold(int(port), host, float(seconds), float(number), kind == "slow")


main()
