// A chat: what one says, all hear.

import { WebSocketServer } from "ws";

const chat = new WebSocketServer({ port: Number(process.env.PORT), host: process.env.HOST });

chat.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => {
    for (const client of chat.clients) client.send(data, { binary: isBinary });
  });
});
