// A tenant that uses a known amount of processor time: `/burn?ms=N` uses so much more of it, and every answer says how
// much the program has used by its own account.

import { createServer } from "node:http";

function used() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  if (url.pathname === "/burn") {
    const until = used() + 1000 * Number(url.searchParams.get("ms"));
    while (used() < until);
  }
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ cpu_us: used() }));
}).listen(Number(process.env.PORT), "127.0.0.1");
