// A tenant that keeps what it is told to: `/hold?mib=N` takes so much more memory, which compresses well, and
// `/hold?mib=N&kind=random` such that does not compress at all. `/` says which process answers and what of it is in swap,
// `/whole` whether it still has what it had, `/whole?part=N` of what it took the N-th time. `/stay` is a response without an end: who reads it needs the program.

import { createHash, randomFillSync, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { setImmediate as pause } from "node:timers/promises";

const PIECE = 4 << 20;
const life = randomUUID();
const held = [];

const digest = (buffer) => createHash("sha256").update(buffer).digest("hex");

// Whoever asks sees after each piece that it goes on, however slow the machine is.
async function hold(mib, kind, response) {
  const buffer = Buffer.alloc(mib << 20);
  const hash = createHash("sha256");
  for (let at = 0; at < buffer.length; at += PIECE) {
    const piece = buffer.subarray(at, at + PIECE);
    kind === "random" ? randomFillSync(piece) : piece.fill(life);
    hash.update(piece);
    response.write(" ");
    await pause();
  }
  held.push({ buffer, digest: hash.digest("hex") });
}

function facts() {
  const status = readFileSync("/proc/self/status", "utf8");
  const kib = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? -1);
  const mib = held.reduce((sum, { buffer }) => sum + (buffer.length >> 20), 0);
  return { life, mib, rss: kib("VmRSS"), swap: kib("VmSwap") };
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  if (url.pathname === "/stay") {
    response.writeHead(200, { "content-type": "text/plain" }).write("here\n");
    return;
  }
  response.setHeader("content-type", "application/json");
  if (url.pathname === "/hold") {
    await hold(Number(url.searchParams.get("mib")), url.searchParams.get("kind"), response);
  }
  const part = Number(url.searchParams.get("part") ?? NaN);
  const asked = Number.isNaN(part) ? held : held.slice(part, part + 1);
  const whole = url.pathname === "/whole" && asked.length > 0 && asked.every((one) => digest(one.buffer) === one.digest);
  response.end(JSON.stringify({ ...facts(), whole }));
});

server.listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => {
  console.log("asked to end");
  process.exit(0);
});
