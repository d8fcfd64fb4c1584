#!/usr/bin/env python3
"""Makes the sample programs of tests/samples ready to be deployed: tests/samples.py FOLDER [NAME]...
With --registry before that, FOLDER/NAME is what somebody has who has installed nothing yet, and FOLDER/registry what the registry gives:
their packages, as they are packed, where npm and pip ask for them.

Those of Node.js have a package-lock.json. Its packages are fetched once into the cache (~/.cache/kennel/samples, by their digests),
held against the digests of the lock, and unpacked where npm would; programs of packages are linked. No script of a package is run,
and neither npm nor Node.js is needed.

Those of Python have a requirements.txt with versions and digests, which pip fetches once into the same cache and installs into the
folder vendor: for the runtime's Python, which need not be here, and without building anything.

Those of PHP have a packages.json: libraries as Debian has packed them, by their digests, since a `composer.lock` has none. They
are unpacked into the folder vendor too."""

import base64
import hashlib
import io
import json
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent / "samples"
REGISTRY = os.environ.get("KENNEL_NPM_REGISTRY", "https://registry.npmjs.org").rstrip("/")
DEBIAN = os.environ.get("KENNEL_MIRROR", "https://deb.debian.org/debian").rstrip("/")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kennel/samples"
LARGEST = 32 << 20
# What pip is told of the runtime.
FOR_RUNTIME = (
    "--only-binary=:all: --no-deps --require-hashes --ignore-requires-python --python-version=3.13 "
    "--implementation=cp --abi=cp313 --abi=none "
    "--platform=manylinux2014_x86_64 --platform=any --quiet --disable-pip-version-check"
).split()


def archive(name, version, integrity):
    """The bytes of a package, by their digest from the cache or from the registry."""
    kind, digest = integrity.split("-", 1)
    if kind != "sha512":
        sys.exit(f"error: {name} {version} is locked by {kind}, and not by sha512")
    url = f"{REGISTRY}/{name}/-/{name.split('/')[-1]}-{version}.tgz"
    return fetched(url, hashlib.sha512, base64.b64decode(digest), f"{name} {version}")


def fetched(url, digest, wanted, what):
    """What is at an address, by its digest from the cache or from there."""
    file = CACHE / wanted.hex()
    if not file.exists():
        with urllib.request.urlopen(url, timeout=60) as answer:
            content = answer.read(LARGEST)
        file.with_suffix(".part").write_bytes(content)
        file.with_suffix(".part").rename(file)
    content = file.read_bytes()
    if digest(content).digest() != wanted:
        file.unlink()
        sys.exit(f"error: {what} is not what the lock says")
    return content


def unpack(content, folder):
    """Its files, below the one folder that all of them lie in."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar.getmembers():
            parts = Path(member.name).parts[1:]
            if not member.isfile() or not parts or ".." in parts:
                continue
            file = folder.joinpath(*parts)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(tar.extractfile(member).read())


def link(bins, folder):
    """Programs of a package at the top of node_modules, as npm links them."""
    for name, target in bins.items():
        place = folder.parent / ".bin" if folder.parent.name == "node_modules" else folder.parent.parent / ".bin"
        place.mkdir(exist_ok=True)
        program = folder / target
        program.chmod(0o755)
        (place / name).symlink_to(os.path.relpath(program, place))


def pip(act, requirements, *more):
    """Runs pip, and says whether it was content; a digest that differs is no content."""
    command = [sys.executable, "-m", "pip", act, *FOR_RUNTIME, "--requirement", str(requirements), *map(str, more)]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def install(requirements, folder):
    """Packages of Python, from the cache or, where it does not have them all, from the registry."""
    wheels = CACHE / "wheels"
    wheels.mkdir(exist_ok=True)
    offline = ["--no-index", f"--find-links={wheels}", "--no-compile", f"--target={folder}"]
    if pip("install", requirements, *offline).returncode != 0:
        for act, more in (("download", [f"--dest={wheels}"]), ("install", offline)):
            done = pip(act, requirements, *more)
            if done.returncode != 0:
                sys.exit(f"error: pip {act}: {done.stderr.strip()}")


def libraries(listed, folder):
    """Libraries of PHP, out of Debian's packages: what these put below /usr/share/php. Their own autoload.php name each other by
    where Debian has them, and are left there."""
    for package in listed:
        content = fetched(f"{DEBIAN}/{package['path']}", hashlib.sha256, bytes.fromhex(package["sha256"]), package["path"])
        with tarfile.open(fileobj=io.BytesIO(lzma.decompress(member(content, b"data.tar.xz")))) as tar:
            for file in tar.getmembers():
                name = file.name.removeprefix("./").removeprefix("usr/share/php/")
                if file.isfile() and name != file.name.removeprefix("./") and not name.endswith("autoload.php"):
                    place = folder / name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(tar.extractfile(file).read())


def member(content, wanted):
    """A member of an ar archive, which packages of Debian are."""
    at = 8
    while at < len(content):
        name, size = content[at : at + 16].rstrip(b" /"), int(content[at + 48 : at + 58])
        if name == wanted:
            return content[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
    sys.exit(f"error: there is no {wanted.decode()} in a package")


def main(out, names):
    CACHE.mkdir(parents=True, exist_ok=True)
    for sample in sorted(HERE.iterdir()):
        if names and sample.name not in names:
            continue
        folder = out / sample.name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(sample, folder)
        if (sample / "requirements.txt").exists():
            install(sample / "requirements.txt", folder / "vendor")
            continue
        if (sample / "packages.json").exists():
            libraries(json.loads((sample / "packages.json").read_text()), folder / "vendor")
            continue
        for place, name, package in packages(sample):
            unpack(archive(name, package["version"], package["integrity"]), folder / place)
            link(package.get("bin", {}), folder / place)


def packages(sample):
    """What npm would install, and where."""
    lock = json.loads((sample / "package-lock.json").read_text())
    for place, package in sorted(lock["packages"].items()):
        if place and not package.get("dev") and not package.get("optional"):
            yield place, place.rsplit("node_modules/", 1)[1], package


def simple(requirements, folder):
    """The simple repository API (PEP 503), as a server of folders makes it by itself: a folder for each name, with links to what is in it."""
    with tempfile.TemporaryDirectory() as scratch:
        install(requirements, Path(scratch) / "vendor")
    names = {line.split("==")[0] for line in requirements.read_text().splitlines()}
    for wheel in (CACHE / "wheels").iterdir():
        name = wheel.name.split("-")[0].replace("_", "-").lower()
        if name in names:
            (folder / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(wheel, folder / name)


def registry(out, names):
    CACHE.mkdir(parents=True, exist_ok=True)
    for sample in names:
        shutil.copytree(HERE / sample, out / sample)
        if (HERE / sample / "requirements.txt").exists():
            simple(HERE / sample / "requirements.txt", out / "registry/simple")
            continue
        lock = json.loads((HERE / sample / "package-lock.json").read_text())
        for place, name, package in packages(HERE / sample):
            path = f"{name}/-/{name.split('/')[-1]}-{package['version']}.tgz"
            file = out / "registry" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(archive(name, package["version"], package["integrity"]))
            # As npm writes it, unless it is told not to; whoever has another registry set asks that one.
            lock["packages"][place]["resolved"] = f"https://registry.npmjs.org/{path}"
        (out / sample / "package-lock.json").write_text(json.dumps(lock, indent=2))


if sys.argv[1] == "--registry":
    registry(Path(sys.argv[2]), sys.argv[3:])
else:
    main(Path(sys.argv[1]), sys.argv[2:])
