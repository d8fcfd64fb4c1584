// A tenant that keeps Node.js' compile cache in its own folder, as docs/idle.md says. `/` tells which process answers, what
// Node.js says of the cache, and what is in the folder; `/again` what a process says of it that loads the same module.

const { constants, enableCompileCache, flushCompileCache } = require("node:module");
const { status } = enableCompileCache("/data/compile-cache");

const { spawnSync } = require("node:child_process");
const { randomUUID } = require("node:crypto");
const { readdirSync } = require("node:fs");
const { createServer } = require("node:http");
const { join } = require("node:path");
require("./lib.js");

const life = randomUUID();
const names = Object.entries(constants.compileCacheStatus);
const files = () => readdirSync("/data/compile-cache", { recursive: true, withFileTypes: true }).filter((f) => f.isFile());

function again() {
  const load = 'require("node:module").enableCompileCache("/data/compile-cache"); require(process.argv[1])';
  const env = { NODE_DEBUG_NATIVE: "COMPILE_CACHE" };
  const ended = spawnSync(process.execPath, ["-e", load, join(__dirname, "lib.js")], { env, encoding: "utf8" });
  return { code: ended.status, said: `${ended.error ?? ""}${ended.stdout ?? ""}${ended.stderr ?? ""}` };
}

const server = createServer((request, response) => {
  const facts = { life, status: names.find(([, value]) => value === status)?.[0], files: files().length };
  const body = JSON.stringify(request.url === "/again" ? again() : facts);
  response.writeHead(200, { "content-type": "application/json" }).end(body);
});

// Node.js writes the cache when the process ends in order; this one is written as soon as all is loaded.
server.listen(Number(process.env.PORT), "127.0.0.1", () => flushCompileCache());
process.on("SIGTERM", () => process.exit(0));
