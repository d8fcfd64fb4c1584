// The probes by name. Each takes the request's query and returns what it got, or throws with the error's `code`.

import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import fs from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import path from "node:path";

/** For a connection that is neither taken nor refused. */
const PATIENCE_MS = 5000;
const MIB = 2 ** 20;
/** What `crowd` holds until `disperse`. */
const crowd = [];

function failure(code, detail) {
  return Object.assign(new Error(String(detail)), { code, detail });
}

/** The promise's outcome, or ETIMEDOUT; `cleanUp` runs in any case. */
async function within(ms, promise, cleanUp) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(failure("ETIMEDOUT", `nothing happened for ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
    cleanUp();
  }
}

const happens = (emitter, event) =>
  new Promise((resolve, reject) => {
    emitter.once(event, resolve);
    emitter.once("error", reject);
  });

function connection(options) {
  const socket = net.connect(options);
  return within(PATIENCE_MS, happens(socket, "connect"), () => socket.destroy());
}

/** Runs a program to its end; its exit code. */
async function run(program, args = []) {
  const child = spawn(program, args, { stdio: "ignore" });
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  return within(PATIENCE_MS, ended, () => child.kill("SIGKILL"));
}

/** Writes to `file` until it is refused or `mb` are written; the refusal's detail says how far it came. */
async function fill(file, mb) {
  const handle = await fs.open(file, "w");
  const piece = Buffer.alloc(MIB, 7);
  let written = 0;
  try {
    while (written < mb) {
      await handle.write(piece);
      written += 1;
    }
    await handle.sync();
    return written;
  } catch (error) {
    throw failure(error.code, written);
  } finally {
    await handle.close();
    await fs.rm(file);
  }
}

export const probes = {
  // Files.
  read: async ({ path }) => (await fs.readFile(path)).subarray(0, 200).toString("latin1"),
  list: ({ path }) => fs.readdir(path),
  stat: async ({ path }) => ({ ...(await fs.stat(path)) }),
  write: ({ path, content = "villain" }) => fs.writeFile(path, content),
  append: ({ path }) => fs.appendFile(path, "villain"),
  overwrite: async ({ path }) => (await fs.open(path, "r+")).close(),
  remove: ({ path }) => fs.rm(path),
  mkdir: ({ path }) => fs.mkdir(path),
  rename: ({ from, to }) => fs.rename(from, to),
  chmod: ({ path, mode }) => fs.chmod(path, Number.parseInt(mode, 8)),
  chown: ({ path, uid }) => fs.chown(path, Number(uid), Number(uid)),
  symlink: ({ target, path }) => fs.symlink(target, path),
  hardlink: ({ target, path }) => fs.link(target, path),
  fill: ({ path, mb }) => fill(path, Number(mb)),

  /** Makes empty files in a folder until it is refused or there are `count`. */
  async crowd({ folder, count }) {
    await fs.mkdir(folder, { recursive: true });
    let made = 0;
    try {
      for (; made < Number(count); made += 1) {
        await fs.writeFile(path.join(folder, `f${made}`), "");
      }
      return made;
    } catch (error) {
      throw failure(error.code, made);
    } finally {
      await fs.rm(folder, { recursive: true });
    }
  },

  // Programs.
  run: ({ program }) => run(program),

  /** Writes a program to where it may write, and runs it. */
  async plant({ folder }) {
    const file = path.join(folder, "planted.js");
    await fs.writeFile(file, "#!/usr/bin/node\n", { mode: 0o755 });
    try {
      return await run(file);
    } finally {
      await fs.rm(file);
    }
  },

  // Processes.
  kill: ({ pid, signal = "0" }) => process.kill(Number(pid), /^\d+$/.test(signal) ? Number(signal) : signal),
  setuid: ({ uid }) => process.setuid(Number(uid)),
  setgid: ({ gid }) => process.setgid(Number(gid)),
  setgroups: ({ gid }) => process.setgroups([Number(gid)]),
  processes: async () => (await fs.readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number),

  /** Starts processes until it is refused or there are `count`. */
  async swarm({ count }) {
    const children = [];
    try {
      while (children.length < Number(count)) {
        const child = spawn(process.execPath, ["-e", "setTimeout(() => {}, 60000)"], { stdio: "ignore" });
        await happens(child, "spawn");
        children.push(child);
      }
      return children.length;
    } catch (error) {
      throw failure(error.code, children.length);
    } finally {
      children.forEach((child) => child.kill("SIGKILL"));
    }
  },

  /** Takes memory; what is too much ends this program, and the request gets no answer. */
  eat: ({ mb }) => {
    const pieces = Array.from({ length: Number(mb) }, () => Buffer.alloc(MIB, 7));
    return pieces.length;
  },

  // The network.
  connect: ({ host = "127.0.0.1", port }) => connection({ host, port: Number(port) }).then(() => "connected"),
  /** Opens connections to itself, one after the other, and keeps them; the failure's detail says how far it came. */
  async crowd({ count, port }) {
    const server = net.createServer((socket) => crowd.push(socket.on("error", () => {}))).listen(Number(port), "127.0.0.1");
    crowd.push(server);
    await happens(server, "listening");
    for (let n = 0; n < Number(count); n += 1) {
      const socket = net.connect({ host: "127.0.0.1", port: Number(port) });
      crowd.push(socket);
      await within(PATIENCE_MS, happens(socket, "connect"), () => {}).catch((error) => {
        throw failure(error.code, n);
      });
    }
    return Number(count);
  },
  /** Closes them. */
  disperse() {
    crowd.splice(0).forEach((one) => (one instanceof net.Server ? one.close() : one.destroy()));
  },

  unix: ({ path }) => connection({ path: path.replace(/^@/, "\0") }).then(() => "connected"),

  get: ({ host, port = "80", path = "/" }) => {
    const request = http.get({ host, port: Number(port), path });
    const answered = happens(request, "response").then((response) => response.statusCode);
    return within(PATIENCE_MS, answered, () => request.destroy());
  },

  async bind({ host = "0.0.0.0", port }) {
    const server = net.createServer().listen(Number(port), host);
    return within(PATIENCE_MS, happens(server, "listening"), () => server.close()).then(() => "bound");
  },

  async "bind-udp"({ host = "0.0.0.0", port }) {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    const bound = happens(socket, "listening");
    socket.bind(Number(port), host);
    return within(PATIENCE_MS, bound, () => socket.close()).then(() => "bound");
  },

  async datagram({ host, port }) {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    const sent = new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.send("villain", Number(port), host, (error) => (error ? reject(error) : resolve("sent")));
    });
    return within(PATIENCE_MS, sent, () => socket.close());
  },

  // Time.
  time: () => Date.now(),
  wait: ({ ms }) => new Promise((resolve) => setTimeout(() => resolve("waited"), Number(ms))),
  pid: () => process.pid,

  // The log.
  shout: ({ lines = "1", word = "villain" }) => {
    for (let n = 1; n <= Number(lines); n += 1) {
      console.log(`${word} ${n}`);
    }
  },

  /** Ends this program, after the answer. */
  exit: ({ code = "0" }) => {
    setTimeout(() => process.exit(Number(code)), 50);
  },
};
