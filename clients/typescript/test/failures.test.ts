/**
 * What the client does when a gateway, or a proxy before it, fails in ways that the real one shows only under load: against a
 * real HTTP server that answers as a test says.
 */
import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, test } from "node:test";
import {
  ApiError,
  BrrrError,
  Client,
  ConflictError,
  ConnectionError,
  NotFoundError,
  UnavailableError,
  type ClientOptions,
} from "brrr-client";
import type * as Events from "../dist/events.js";
import type * as Http from "../dist/http.js";
import { HERE } from "./host.ts";

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly at: number;
}

/** Answers one request. */
type Step = (response: ServerResponse) => void;

let server: Server | undefined;
let seen: Seen[] = [];

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** A server that answers by one step after the other; the last one answers all further requests. */
async function serve(...steps: Step[]): Promise<string> {
  seen = [];
  const started = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      seen.push({ method, url, headers, body, at: performance.now() });
      steps[Math.min(seen.length, steps.length) - 1]?.(response);
    });
  });
  server = started;
  await new Promise<void>((listening) => started.listen(0, "127.0.0.1", listening));
  return `http://127.0.0.1:${(started.address() as AddressInfo).port}`;
}

const problem =
  (status: number, name: string, headers = {}): Step =>
  (response) => {
    response.writeHead(status, { "content-type": "application/problem+json", ...headers });
    response.end(JSON.stringify({ type: `urn:brrr:problem:${name}`, title: "Title", status, detail: `the detail of ${name}` }));
  };
const json =
  (body: unknown, status = 200): Step =>
  (response) => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
const html =
  (status: number): Step =>
  (response) =>
    void response.writeHead(status, { "content-type": "text/html" }).end("<h1>no</h1>");
const hangUp: Step = (response) => void response.destroy();
const halfOfIt: Step = (response) => {
  response.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
  response.write('{"job": "', () => response.destroy());
};
const events =
  (text: string, then: "end" | "break" | "stay"): Step =>
  (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(text, () => {
      if (then === "end") response.end();
      if (then === "break") setTimeout(() => response.destroy(), 50);
    });
  };

const JOB = { job: "0".repeat(32), state: "running", topic: "demo", task: "fib", call: "c", created: "2026-01-01T00:00:00.000Z" };
const AT_ONCE = { "retry-after": "0" };

test("a request that meets passing failures is sent again as it was", async () => {
  const failures = [problem(503, "busy", AT_ONCE), problem(408, "too-slow"), hangUp, halfOfIt, html(502)];
  const client = new Client(await serve(...failures, json(JOB, 201)));
  const job = await client.start("demo", "fib", { n: 3 });
  assert.equal(job.id, JOB.job);
  assert.equal(seen.length, 6);
  assert.equal(new Set(seen.map(({ headers }) => headers["idempotency-key"])).size, 1);
  assert.match(String(seen[0]?.headers["idempotency-key"]), /^[0-9a-f-]{36}$/);
  assert.equal(new Set(seen.map(({ body }) => body)).size, 1);
  assert.deepEqual(JSON.parse(seen[0]?.body ?? ""), { topic: "demo", task: "fib", input: { n: 3 }, options: {} });
});

test("a pause that the gateway asks for is kept", async () => {
  const client = new Client(await serve(problem(503, "busy", { "retry-after": "1" }), json({ topics: [] })));
  await client.topics();
  const [first, second] = seen;
  assert.ok(first && second && second.at - first.at >= 990, "a second later");
});

test("pauses that the gateway does not ask for grow, and are bounded", async () => {
  const client = new Client(await serve(hangUp), { requestRetries: 3 });
  const error = await assert.rejects(client.topics(), ConnectionError).then(() => undefined);
  assert.equal(error, undefined);
  assert.equal(seen.length, 4);
  const pauses = seen.slice(1).map(({ at }, i) => at - (seen[i]?.at ?? 0));
  pauses.forEach((pause, i) => assert.ok(pause >= 90 * 2 ** i, `pauses ${pauses.join(", ")}`));
});

test("a gateway that stays away", async () => {
  const url = await serve(problem(503, "backend-unavailable", AT_ONCE));
  const client = new Client(url, { requestRetries: 2 });
  await assert.rejects(client.topics(), (error) => {
    assert.ok(error instanceof UnavailableError && error instanceof ApiError && error instanceof BrrrError);
    assert.deepEqual([error.status, error.name, error.detail], [503, "backend-unavailable", "the detail of backend-unavailable"]);
    assert.deepEqual([error.message, error.retryAfterMs, error.problem["title"]], [error.detail, 0, "Title"]);
    return true;
  });
  assert.equal(seen.length, 3);
  server?.closeAllConnections();
  await new Promise((closed) => server?.close(closed));
  await assert.rejects(client.topics(), (error) => {
    assert.ok(error instanceof ConnectionError && error.cause instanceof Error);
    assert.equal(error.message, `no answer from ${url}`);
    return true;
  });
});

test("errors that no further try would help are told at once", async () => {
  for (const step of [problem(500, "internal"), problem(400, "bad-request"), problem(413, "too-large"), html(403)]) {
    const client = new Client(await serve(step));
    const error = await client.topics().catch((error: unknown) => error);
    assert.ok(error instanceof ApiError);
    if (error.status === 403) assert.deepEqual([error.name, error.message], ["http", "the answer has the status 403"]);
    assert.equal(seen.length, 1);
    server?.close();
  }
});

test("an answer that is not the gateway's", async () => {
  const client = new Client(await serve(html(200)));
  for (const ask of [client.topics(), client.job("a").result(), client.job("a").events().next()]) {
    await assert.rejects(ask, { name: "BrrrError", message: /answers with text\/html: is it the address of a gateway\?$/ });
  }
});

test("a redirect is not followed", async () => {
  const client = new Client(await serve((response) => void response.writeHead(308, { location: "https://example.com/" }).end()));
  const message = "the gateway's address redirects to https://example.com/: give the client the address that it leads to";
  await assert.rejects(client.start("demo", "fib"), { name: "BrrrError", message });
  await assert.rejects(client.job("a").events().next(), { name: "BrrrError", message });
  assert.equal(seen.length, 2);
});

test("what may not be done twice is not sent again when its answer is lost", async () => {
  const client = new Client(await serve(problem(503, "busy", AT_ONCE), hangUp));
  await assert.rejects(client.job("a").retry(), ConnectionError);
  assert.equal(seen.length, 2);
  await assert.rejects(client.schedule("demo", "nightly").run(), ConnectionError);
  assert.equal(seen.length, 3);
});

test("what was done by a first try whose answer was lost is no error", async () => {
  let client = new Client(await serve(hangUp, problem(404, "no-such-schedule")));
  await client.schedule("demo", "nightly").delete();
  assert.deepEqual(
    seen.map(({ method, url }) => `${method} ${url}`),
    Array(2).fill("DELETE /v1/topics/demo/schedules/nightly"),
  );
  server?.close();
  client = new Client(await serve(problem(503, "busy", AT_ONCE), problem(404, "no-such-schedule")));
  await assert.rejects(client.schedule("demo", "nightly").delete(), NotFoundError);
  server?.close();
  client = new Client(await serve(hangUp, problem(409, "job-over")));
  await client.promise("a", "approval").resolve(1);
  await assert.rejects(client.promise("a", "approval").resolve(1), ConflictError);
  server?.close();
  client = new Client(await serve(hangUp, problem(409, "job-over"), json({ ...JOB, state: "cancelled" })));
  assert.equal((await client.job("a").cancel()).state, "cancelled");
  server?.close();
  client = new Client(await serve(hangUp, problem(409, "job-over"), json({ ...JOB, state: "completed" })));
  await assert.rejects(client.job("a").cancel(), ConflictError);
});

test("a long wait is many requests", async () => {
  const busy = problem(409, "not-over");
  const client = new Client(await serve(busy, problem(503, "busy", AT_ONCE), busy, json(55)));
  assert.equal(await client.job("a").result({ timeout: "2h" }), 55);
  assert.deepEqual(
    seen.map(({ headers }) => headers["prefer"]),
    Array(4).fill("wait=60"),
  );
  // Nobody is asked without a pause, even if the gateway's answers come at once: here twice half a second, less a late arrival.
  assert.ok((seen[3]?.at ?? 0) - (seen[0]?.at ?? 0) >= 800);
  assert.equal(await client.job("a").result({ timeout: "1500ms" }), 55);
  assert.equal(seen.at(-1)?.headers["prefer"], "wait=2");
  assert.equal(await client.job("a").result({ timeout: "0s" }), 55);
  assert.equal(seen.at(-1)?.headers["prefer"], undefined);
});

test("a gateway that never answers", async () => {
  const client = new Client(await serve(() => {}), { requestTimeout: "100ms", requestRetries: 1 });
  await assert.rejects(client.topics(), ConnectionError);
  assert.equal(seen.length, 2);
  // A wait has its own limit.
  await assert.rejects(client.job("a").result({ timeout: "200ms" }), { name: "WaitTimeoutError" });
});

test("many waits with one signal", async () => {
  const client = new Client(await serve(() => {}));
  const warnings: Error[] = [];
  const warned = (warning: Error): unknown => warnings.push(warning);
  process.on("warning", warned);
  const controller = new AbortController();
  const { signal } = controller;
  const reason = new Error("enough");
  const waits = Array.from({ length: 30 }, (_, i) => client.job(`${i}`).result({ signal }));
  const loops = Array.from({ length: 30 }, (_, i) => client.job(`${i}`).events({ signal }).next());
  setTimeout(() => controller.abort(reason), 100);
  for (const outcome of await Promise.allSettled([...waits, ...loops]))
    assert.equal(outcome.status === "rejected" && outcome.reason, reason);
  // A warning comes a little later.
  await new Promise((later) => setImmediate(later));
  process.off("warning", warned);
  assert.deepEqual(warnings, []);
});

test("the token, and what else a client is made with", async () => {
  const url = await serve(json({ topics: [] }));
  let asked = 0;
  const client = new Client(new URL(`${url}/`), { token: async () => `token-${++asked}` });
  await client.topics();
  await client.topics();
  assert.deepEqual(
    seen.map(({ headers, url }) => [headers.authorization, url]),
    [
      ["Bearer token-1", "/v1/topics"],
      ["Bearer token-2", "/v1/topics"],
    ],
  );
  await new Client(`${url}/behind/a/proxy/`).topics();
  assert.deepEqual([seen.at(-1)?.url, seen.at(-1)?.headers.authorization], ["/behind/a/proxy/v1/topics", undefined]);

  for (const token of ["secret\n", "", "sécret"]) {
    await assert.rejects(
      new Client(url, { token }).topics(),
      (error: Error) => error instanceof TypeError && !/s.cret/.test(error.message),
    );
  }
  for (const wrong of ["localhost", "localhost:8080", "ftp://x", "http://x/?a", "http://x/#a", ""])
    assert.throws(() => new Client(wrong), TypeError);
  assert.throws(
    () => new Client("http://user:secret@x"),
    (error: Error) => error instanceof TypeError && !error.message.includes("secret"),
  );
  for (const wrong of [-1, 1.5, NaN]) assert.throws(() => new Client(url, { requestRetries: wrong }), TypeError);
  assert.throws(() => new Client(url, { requestTimeout: 5 as never }), TypeError);
  assert.doesNotMatch(JSON.stringify(client) + String(client), /token-/);
  const { inspect } = await import("node:util");
  assert.doesNotMatch(inspect(client, { depth: 9, showHidden: true }), /token-1/);
});

test("a fetch of one's own", async () => {
  const url = await serve(json({ topics: [] }));
  const asked: string[] = [];
  const own: NonNullable<ClientOptions["fetch"]> = (address, init) => {
    asked.push(`${init.method} ${address}`);
    return fetch(address, init);
  };
  await new Client(url, { fetch: own }).topics();
  assert.deepEqual(asked, [`GET ${url}/v1/topics`]);
});

test("inputs that can't be sent as they are", async () => {
  const client = new Client(await serve(json(JOB)));
  for (const wrong of [{ n: NaN }, { n: 2 ** 60 }, [1], 5, "n", null]) {
    await assert.rejects(client.start("demo", "fib", wrong as object), TypeError);
  }
  await assert.rejects(client.start("demo", "fib", {}, { delay: 5 as never }), { message: /^delay is a text like/ });
  await assert.rejects(client.start("demo", "fib", {}, { key: "a b" }), TypeError);
  assert.equal(seen.length, 0);
  await client.start("demo", "fib", { n: 2n ** 60n, left: undefined, at: new Date(0) }, { scope: "1h", retryDelay: { ms: 5 } });
  const body =
    '{"topic":"demo","task":"fib","input":{"n":1152921504606846976,"at":"1970-01-01T00:00:00.000Z"},"options":{"scope":"3600000ms","retry_delay":"5ms"}}';
  assert.equal(seen[0]?.body, body);
});

const event = (id: string, to: string, subject = "task"): string =>
  `id: ${id}\nevent: ${subject}\ndata: ${JSON.stringify({ v: 1, at: "2026-01-01T00:00:00.000Z", subject, job: "a", to, retry_in_ms: 5 })}\n\n`;

async function ids(client: Client): Promise<string[]> {
  const list: string[] = [];
  for await (const { id } of client.job("a").events()) list.push(id);
  return list;
}

test("events go on after the last one, whatever ends a connection", async () => {
  const url = await serve(
    events(`${event("1", "ready")}${event("2", "running")}id: 3\ndata: {"half`, "break"),
    problem(503, "busy", AT_ONCE),
    hangUp,
    events(": nothing yet\n\n", "end"),
    events(`retry: 1\n\n${event("3", "completed")}`, "end"),
    events(event("4", "completed", "job") + event("5", "ready"), "stay"),
  );
  const list: Events.JobEvent[] = [];
  for await (const item of new Client(url, { token: "t" }).job("a").events({ after: "0" })) list.push(item);
  assert.deepEqual(
    list.map(({ id }) => id),
    ["1", "2", "3", "4"],
  );
  assert.deepEqual(
    seen.map(({ headers }) => headers["last-event-id"]),
    ["0", "2", "2", "2", "2", "3"],
  );
  assert.ok(seen.every(({ headers }) => headers.authorization === "Bearer t" && headers.accept === "text/event-stream"));
  assert.deepEqual([list[0]?.at, list[0]?.retryInMs], [new Date("2026-01-01"), 5]);
});

test("events of a gateway that brings none", async () => {
  const client = new Client(await serve(events("", "end")), { requestRetries: 2 });
  await assert.rejects(ids(client), { name: "ConnectionError", message: "the stream of events ends without an event" });
  assert.equal(seen.length, 3);
});

test("events of a job that is not there", async () => {
  const client = new Client(await serve(problem(404, "no-such-job")));
  await assert.rejects(ids(client), NotFoundError);
  assert.equal(seen.length, 1);
});

test("a connection that has gone silent is followed by another", async () => {
  const url = await serve(events(event("1", "ready"), "stay"), () => {}, events(event("2", "completed", "job"), "stay"));
  const { Http: Transport } = (await import(`${HERE}/dist/http.js`)) as typeof Http;
  const { follow } = (await import(`${HERE}/dist/events.js`)) as typeof Events;
  const list: string[] = [];
  for await (const { id } of follow(new Transport(url, {}), { method: "GET", path: "/jobs/a/events" }, {}, true, 200))
    list.push(id);
  assert.deepEqual(list, ["1", "2"]);
  assert.deepEqual(
    seen.map(({ headers }) => headers["last-event-id"]),
    [undefined, "1", "1"],
  );
});

test("a loop that is left closes its connection", async () => {
  let closed: () => void;
  const closing = new Promise<void>((resolve) => (closed = resolve));
  const url = await serve((response) => {
    response.on("close", () => closed());
    events(event("1", "ready"), "stay")(response);
  });
  for await (const { id } of new Client(url).job("a").events()) {
    assert.equal(id, "1");
    break;
  }
  await closing;
});
