// A page that says where it runs: `kennel deploy blog examples/node-hello`, or `node server.js` on your own computer.
// Kennel starts `node server.js` with PORT set, and asks it to end with SIGTERM.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const { PORT = "3000", HOST = "127.0.0.1", KENNEL_TENANT = "nobody yet", KENNEL_RELEASE } = process.env;

let requests = 0;

/** The SELinux domain of this process; outside of Kennel there may be none. */
function domain() {
  try {
    return readFileSync("/proc/self/attr/current", "utf8").replace(/\0|\n/g, "") || "none";
  } catch {
    return "none";
  }
}

function facts() {
  return {
    tenant: KENNEL_TENANT,
    release: KENNEL_RELEASE ? `r${KENNEL_RELEASE}` : "none",
    runtime: `Node.js ${process.versions.node}`,
    uid: process.getuid(),
    pid: process.pid,
    domain: domain(),
    memory: `${(process.memoryUsage.rss() / 2 ** 20).toFixed(1)} MiB`,
    uptime: `${process.uptime().toFixed(1)} s`,
    requests,
  };
}

const escape = (value) => String(value).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function page() {
  const { tenant, ...rest } = facts();
  const rows = Object.entries(rest).map(([name, value]) => `<dt>${escape(name)}</dt><dd>${escape(value)}</dd>`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(tenant)} lives here</title>
<style>
  :root { color-scheme: light dark; --ink: #22303c; --soft: #6b7a88; --paper: #fbfaf7; --card: #fff; --line: #e6e2d8; --roof: #c2552d; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e8e6e1; --soft: #9aa5af; --paper: #171a1d; --card: #1f2327; --line: #32383e; --roof: #e07a4f; }
  }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--paper); color: var(--ink);
    font: 16px/1.5 ui-sans-serif, system-ui, sans-serif; }
  main { box-sizing: border-box; width: min(34rem, 100vw - 2rem); margin: 2rem 0; padding: 2.25rem; background: var(--card);
    border: 1px solid var(--line); border-radius: 16px; box-shadow: 0 12px 32px #0000000d; }
  svg { display: block; width: 56px; height: 56px; fill: none; stroke: var(--roof); stroke-width: 4;
    stroke-linecap: round; stroke-linejoin: round; }
  h1 { margin: 1rem 0 .25rem; font-size: 1.75rem; line-height: 1.2; letter-spacing: -.02em; overflow-wrap: anywhere; }
  p { margin: 0 0 1.5rem; color: var(--soft); }
  dl { display: grid; grid-template-columns: max-content 1fr; margin: 0; border-top: 1px solid var(--line); }
  dt, dd { margin: 0; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  dt { padding-right: 2rem; color: var(--soft); }
  dd { font-family: ui-monospace, monospace; font-size: .9rem; text-align: right; overflow-wrap: anywhere; }
</style>
<main>
  <svg viewBox="0 0 48 48" aria-hidden="true"><path d="M4 23 24 6l20 17M9 19v23h30V19"/><path d="M17 42V31a7 7 0 0 1 14 0v11"/></svg>
  <h1>Hello from ${escape(tenant)}</h1>
  <p>A small program in a home of its own.</p>
  <dl>
    ${rows.join("\n    ")}
  </dl>
</main>
`;
}

const server = createServer((request, response) => {
  requests += 1;
  const { pathname } = new URL(request.url, "http://localhost");
  const send = (status, type, body) => {
    const headers = { "content-type": `${type}; charset=utf-8`, "content-length": Buffer.byteLength(body) };
    response.writeHead(status, { ...headers, "cache-control": "no-store" });
    response.end(request.method === "HEAD" ? undefined : body);
  };
  if (request.method !== "GET" && request.method !== "HEAD") {
    send(405, "text/plain", "only GET and HEAD here\n");
  } else if (pathname === "/") {
    send(200, "text/html", page());
  } else if (pathname === "/facts.json") {
    send(200, "application/json", JSON.stringify(facts()));
  } else {
    send(404, "text/plain", "nothing here\n");
  }
});

server.listen(Number(PORT), HOST, () => console.log(`listening on http://${HOST}:${PORT}/`));

// Finish what is being answered, take nothing new, and end.
process.on("SIGTERM", () => {
  console.log(`served ${requests} requests, good night`);
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
