// A page that says how it was started.

const { createServer } = require("node:http");
const { parseArgs } = require("node:util");

const { port } = parseArgs({ options: { port: { type: "string", default: "3000" } } }).values;
const server = createServer((request, response) => {
  response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
  response.end(`${process.argv.slice(1).join(" ")}\n`);
});

server.listen(Number(port), process.env.HOST ?? "127.0.0.1");

process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
