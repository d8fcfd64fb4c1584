// The bare start that benches/idle.sh compares with: `/bare` starts `node program.js` as a child, outside of Kennel's ways (no
// proxy, no init, no compiled code), and says how many milliseconds pass until its first byte. `/fill` writes a file anew,
// so that its pages take the place of free ones that the kernel does not count.

import { spawn } from "node:child_process";
import { open, rm } from "node:fs/promises";
import { connect } from "node:net";
import { createServer } from "node:http";

const { NODE_COMPILE_CACHE, PORT, DATA_DIR = "/data", ...env } = process.env;
const port = Number(PORT) + 1;

/** The first byte of a page. */
function firstByte() {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("GET / HTTP/1.0\r\n\r\n"));
    socket.once("data", () => resolve(socket.destroy()));
    socket.once("error", reject);
  });
}

async function bare() {
  const began = process.hrtime.bigint();
  const child = spawn(process.execPath, ["program.js"], {
    env: { ...env, PORT: String(port) },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  // It says that it listens. To try its port until then would take processor time from it, of which there is one.
  await new Promise((resolve) => child.stdout.once("data", resolve));
  await firstByte();
  const ms = Number(process.hrtime.bigint() - began) / 1e6;
  child.kill("SIGKILL");
  await ended;
  return ms.toFixed(1);
}

/** An eighth of 1 GiB, and some more. */
async function fill() {
  const path = `${DATA_DIR}/fill`;
  await rm(path, { force: true });
  const file = await open(path, "w");
  const block = Buffer.alloc(1 << 20);
  for (let mib = 0; mib < 160; mib += 1) await file.write(block);
  await file.close();
  return "filled";
}

const acts = { "/bare": bare, "/fill": fill };
createServer(async (request, response) => response.end(await (acts[request.url] ?? (() => "ready"))()))
  .listen(Number(PORT), "127.0.0.1");
