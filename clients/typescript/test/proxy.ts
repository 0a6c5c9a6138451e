/** A TCP proxy before a gateway, which breaks connections where a test wants it. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** What happens to one connection. Each function gives the bytes to pass on; `cut` ends the connection after them. */
export interface Fault {
  /** Sees what the client sends. */
  request(bytes: Buffer): void;
  /** Sees what the gateway sends. */
  answer(bytes: Buffer, cut: () => void): Buffer;
}

export class Proxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** How many connections were cut. */
  cuts = 0;
  /** How many connections clients hold. */
  open = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Starts a proxy at a free port. `fault` makes what happens to each connection. */
  static async start(target: string, fault: () => Fault): Promise<Proxy> {
    const { hostname, port } = new URL(target);
    const server = createServer();
    const proxy = new Proxy(server);
    server.on("connection", (client) => proxy.#join(client, connect(Number(port), hostname), fault()));
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #join(client: Socket, gateway: Socket, fault: Fault): void {
    this.open += 1;
    client.once("close", () => (this.open -= 1));
    for (const [one, other] of [
      [client, gateway],
      [gateway, client],
    ] as const) {
      this.#sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
    client.on("data", (bytes) => {
      fault.request(bytes);
      gateway.write(bytes);
    });
    let isCut = false;
    gateway.on("data", (bytes) => {
      if (isCut) return;
      const passed = fault.answer(bytes, () => (isCut = true));
      if (!isCut) return void client.write(passed);
      this.cuts += 1;
      // A reader that is told of the end at once may drop what it has not read. It gets by without this pause, with more tries.
      client.write(passed, () => setTimeout(() => client.destroy(), passed.length > 0 ? 50 : 0));
    });
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((closed) => this.#server.close(closed));
  }
}

/** Loses the first answer to each idempotency key: the gateway has answered, and the client gets nothing. */
export function loseFirstAnswers(): () => Fault {
  const seen = new Set<string>();
  return () => {
    let lose = false;
    return {
      request(bytes) {
        const key = /\r\nidempotency-key: *(\S+)/i.exec(bytes.toString("latin1"))?.[1];
        lose = key !== undefined && !seen.has(key);
        if (key !== undefined) seen.add(key);
      },
      answer(bytes, cut) {
        if (!lose) return bytes;
        cut();
        return Buffer.alloc(0);
      },
    };
  };
}

/** Cuts each connection in the middle of an event, after so many whole ones. */
export function cutEvents(after: number): () => Fault {
  return () => {
    let streams = false;
    let whole = 0;
    return {
      request(bytes) {
        streams = /^GET \S+\/events[ ?]/.test(bytes.toString("latin1"));
      },
      answer(bytes, cut) {
        if (!streams) return bytes;
        const text = bytes.toString("latin1");
        for (const { index } of text.matchAll(/\ndata:/g)) {
          whole += 1;
          if (whole <= after) continue;
          cut();
          return bytes.subarray(0, index + 20);
        }
        return bytes;
      },
    };
  };
}
