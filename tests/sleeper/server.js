// A tenant that shows whether it is awake: it prints a line four times a second for as long as it gets processor time.
// `/` says which process answers and how much of it is in swap, `/slow?ms=N` takes its time,
// `/burn?ms=N` takes the processor's, `/end` ends it, and WebSockets are echoed. How many pages it waited for a disk for until
// it listened is in `/`, too.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const life = randomUUID();
let startReads;
// Memory that is its own, and not all zeros.
const ballast = Buffer.alloc(24 << 20, life);
let ticks = 0;

setInterval(() => console.log(`tick ${(ticks += 1)}`), 250);

function facts() {
  const status = readFileSync("/proc/self/status", "utf8");
  const kib = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? -1);
  return { life, ticks, startReads, rss: kib("VmRSS"), swap: kib("VmSwap") };
}

/** What part of a processor it got while it wanted a whole one. */
function burn(ms) {
  const [cpu, wall] = [process.cpuUsage(), process.hrtime.bigint()];
  const until = Date.now() + ms;
  while (Date.now() < until);
  const { user, system } = process.cpuUsage(cpu);
  return { part: (user + system) / (Number(process.hrtime.bigint() - wall) / 1e3) };
}

const server = createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  // Before anything else is touched.
  const body = JSON.stringify(facts());
  const send = () => response.writeHead(200, { "content-type": "application/json" }).end(body);
  if (url.pathname === "/slow") {
    setTimeout(send, Number(url.searchParams.get("ms")));
  } else if (url.pathname === "/burn") {
    response.end(JSON.stringify(burn(Number(url.searchParams.get("ms")))));
  } else if (url.pathname === "/end") {
    process.exit(1);
  } else if (url.pathname === "/ballast") {
    response.end(JSON.stringify(ballast.equals(Buffer.alloc(ballast.length, life))));
  } else {
    send();
  }
});

server.on("upgrade", (request, socket) => {
  socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
  socket.on("error", () => socket.destroy());
  socket.pipe(socket);
});

server.listen(Number(process.env.PORT), "127.0.0.1", () => {
  startReads = process.resourceUsage().majorPageFault;
});
process.on("SIGTERM", () => {
  console.log("asked to end");
  process.exit(0);
});
