// A tenant that takes all it can get: GET /act/<name>?seconds=<n> goes on for so long and answers then. What is more than
// the limits allow may end this program; whoever asked asks again. GET /long is a page of 64 MiB.

import { spawn } from "node:child_process";
import fs from "node:fs";
import { createServer } from "node:http";
import net from "node:net";
import { Worker } from "node:worker_threads";

const { PORT = "3000", HOST = "127.0.0.1", DATA_DIR = "/data" } = process.env;
const MIB = 2 ** 20;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const over = (end) => Date.now() >= end;
/** One for all who ask: 64 MiB for each would be the act `memory`. */
const LONG = Buffer.alloc(64 * MIB, "long ");

/** Repeats until the time is over; what is refused is tried again a little later. */
async function again(end, act) {
  while (!over(end)) {
    try {
      await act();
      await pause(0);
    } catch {
      await pause(20);
    }
  }
}

const acts = {
  /** Computes in more threads than there are processors. */
  async processor(end) {
    const workers = Array.from({ length: 8 }, () => new Worker("for (;;);", { eval: true }));
    await pause(end - Date.now());
    await Promise.all(workers.map((worker) => worker.terminate()));
  },

  /** Starts programs that compute, until it may start no more, and goes on trying. */
  async processes(end) {
    const children = new Set();
    await again(end, async () => {
      const child = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
      child.once("error", () => children.delete(child));
      children.add(child);
      await pause(10);
    });
    children.forEach((child) => child.kill("SIGKILL"));
  },

  /** Takes memory and touches it. */
  async memory(end) {
    const pieces = [];
    await again(end, () => pieces.push(Buffer.alloc(4 * MIB, 7)));
  },

  /** Writes until the disk is full for it, removes everything, and begins anew. */
  async disk(end) {
    const file = `${DATA_DIR}/filler`;
    const piece = Buffer.alloc(MIB, 7);
    await again(end, async () => {
      const handle = await fs.promises.open(file, "w");
      try {
        while (!over(end)) await handle.write(piece);
      } finally {
        await handle.close();
        await fs.promises.rm(file);
      }
    });
  },

  /** Makes empty files until it may make no more, removes them, and begins anew. */
  async files(end) {
    const folder = `${DATA_DIR}/crowd`;
    fs.rmSync(folder, { recursive: true, force: true });
    await again(end, async () => {
      fs.mkdirSync(folder);
      try {
        for (let n = 0; !over(end); n += 1) {
          fs.writeFileSync(`${folder}/${n}`, "");
          if (n % 100 === 0) await pause(0);
        }
      } finally {
        fs.rmSync(folder, { recursive: true });
      }
    });
  },

  /** Opens files until it may open no more. */
  async descriptors(end) {
    const open = [];
    await again(end, () => open.push(fs.openSync("/dev/null")));
    open.forEach((fd) => fs.closeSync(fd));
  },

  /** Prints. */
  async log(end) {
    const lines = `${"a line of the flood ".repeat(10)}\n`.repeat(100);
    await again(end, () => fs.writeSync(1, lines));
  },

  /** Opens connections to itself, each of which the packet filter has to remember. */
  async connections(end) {
    await again(end, async () => {
      const sockets = Array.from({ length: 50 }, () => net.connect(Number(PORT), HOST).on("error", () => {}));
      await pause(5);
      sockets.forEach((socket) => socket.resetAndDestroy());
    });
  },
};

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  const act = acts[url.pathname.replace("/act/", "")];
  if (url.pathname === "/long") {
    response.end(LONG);
  } else if (act) {
    await act(Date.now() + 1000 * Number(url.searchParams.get("seconds") ?? "5"));
    response.end("done\n");
  } else {
    response.writeHead(404).end("GET /act/<name>?seconds=<n> or /long\n");
  }
});
server.listen(Number(PORT), HOST);
