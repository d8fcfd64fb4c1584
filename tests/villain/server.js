// A tenant that tries what no tenant may, and says how it went. For the scenarios in the VM only.
//
//   GET /whoami                      who the kernel says that this program is
//   GET /probe/<name>?<arguments>    {"ok": true, "detail": …}, or {"ok": false, "errno": "EACCES", "detail": …}
//
// `probes.js` has the probes by name. Each ends by itself within some seconds.

import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import os from "node:os";
import { probes } from "./probes.js";

const { PORT = "3000", HOST = "127.0.0.1" } = process.env;

const text = (path) => readFileSync(path, "utf8").replace(/\0/g, "").trim();

/** Lines of `name: value` as an object. */
function fields(path) {
  const lines = text(path).split("\n").map((line) => line.split(/:\s*/, 2));
  return Object.fromEntries(lines);
}

function whoami() {
  return {
    uid: process.getuid(),
    gid: process.getgid(),
    groups: process.getgroups(),
    pid: process.pid,
    context: text("/proc/self/attr/current"),
    cgroup: text("/proc/self/cgroup"),
    status: fields("/proc/self/status"),
    limits: text("/proc/self/limits"),
    mounts: text("/proc/self/mountinfo").split("\n"),
    root: readdirSync("/"),
    processes: readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number),
    hostname: os.hostname(),
    cwd: process.cwd(),
    env: process.env,
  };
}

async function answer(url) {
  if (url.pathname === "/whoami") {
    return whoami();
  }
  const name = url.pathname.startsWith("/probe/") ? url.pathname.slice("/probe/".length) : "";
  if (!Object.hasOwn(probes, name)) {
    return undefined;
  }
  try {
    const detail = await probes[name](Object.fromEntries(url.searchParams));
    return { ok: true, detail: detail ?? null };
  } catch (error) {
    return { ok: false, errno: error.code ?? error.name, detail: error.detail ?? error.message };
  }
}

const server = createServer((request, response) => {
  answer(new URL(request.url, "http://localhost"))
    .then((body) => [body === undefined ? 404 : 200, body ?? { error: "no such probe" }])
    .catch((error) => [500, { error: error.message }])
    .then(([status, body]) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(`${JSON.stringify(body)}\n`);
    });
});

server.listen(Number(PORT), HOST, () => console.log(`villain: listening on ${HOST}:${PORT}`));

process.on("SIGTERM", () => {
  console.log("villain: ending");
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
