/**
 * What the client does in every runtime: run in Node, Deno, Bun and a browser, against the real gateway. Nothing here
 * imports anything of a runtime.
 */
import {
  ApiError,
  Client,
  ConflictError,
  InvalidInputError,
  JobCancelledError,
  JobFailedError,
  JobTimedOutError,
  NotFoundError,
  UnauthorizedError,
  WaitTimeoutError,
  type JobFilter,
  type KnownJob,
  type LogLine,
  type StartOptions,
} from "brrr-client";
import { all, equal, ok, rejects, same } from "./assert.ts";

/** Where the gateway is. Texts only, as it goes to other processes. */
export interface Place {
  /** The gateway. */
  readonly url: string;
  /** A proxy before it that loses the first answer to each idempotency key. */
  readonly lossy: string;
  /** A proxy before it that cuts each connection that brings events after a few of them. */
  readonly cutting: string;
  readonly token: string;
}

export interface Case {
  readonly name: string;
  readonly run: (place: Place) => Promise<void>;
}

export const cases: Case[] = [];

function core(name: string, run: (client: Client, place: Place) => Promise<void>): void {
  cases.push({ name, run: (place) => run(new Client(place.url, { token: place.token }), place) });
}

core("starts a job and gives its result", async (client) => {
  const job = await client.start<number>("demo", "fib", { n: 10, salt: null });
  ok(/^[0-9a-f]{32}$/.test(job.id), job.id);
  const result: number = await job.result({ timeout: "30s" });
  equal(result, 55);
});

core("starts a job and waits for it in one request", async (client, place) => {
  const asked: string[] = [];
  const fetching = (url: string, init: RequestInit): Promise<Response> => (asked.push(url), fetch(url, init));
  const counting = new Client(place.url, { token: place.token, fetch: fetching });
  const job = await counting.start<number>("demo", "fib", { n: 11, salt: null }, { wait: "30s" });
  equal(await job.result(), 89);
  const failed = await counting.start("demo", "fails", { message: "at once" }, { wait: "30s", scope: "job" });
  equal((await rejects(failed.result(), JobFailedError)).message.includes("at once"), true);
  equal(asked, [`${place.url}/v1/jobs`, `${place.url}/v1/jobs`]);
  const slow = await asks(client, "never", { wait: "1s" });
  equal(slow.latest.state, "running");
  await slow.cancel();
});

core("a job's status", async (client) => {
  const before = Date.now();
  const job = await client.start("demo", "hello", { greetee: "Ann" });
  equal(job.latest.id, job.id);
  await job.result({ timeout: "30s" });
  const status = await job.status();
  equal(
    [status.id, status.state, status.topic, status.task, status.result],
    [job.id, "completed", "demo", "hello", "Hello, Ann!"],
  );
  ok(status.created instanceof Date && Math.abs(status.created.getTime() - before) < 60_000, "created");
  ok(status.ended instanceof Date && status.ended >= status.created, "ended");
  equal([status.starts, status.deadline, status.retryOf], [null, null, null]);
  ok(typeof status.durationMs === "number" && status.durationMs >= 0, "durationMs");
  equal(job.latest, status);
});

core("the topic can be left out", async (client) => {
  const job = await client.start(null, "hello", { greetee: "x" });
  equal(job.latest.topic, "demo");
  equal(await job.result({ timeout: "30s" }), "Hello, x!");
});

core("all options", async (client) => {
  const deadline = new Date(Date.now() + 3_600_000);
  const job = await client.start(
    "demo",
    "asks",
    { name: "never", limit: 0 },
    {
      ...{ timeout: "1h 30m", deadline, maxMessages: 1000, scope: "job", label: "all options" },
      ...{ taskTimeout: { ms: 30_000 }, maxRetries: 3, retryDelay: "1.5s", maxRetryDelay: "1m", retryBackoff: "exponential" },
    },
  );
  equal((await job.status()).deadline, deadline);
  await job.cancel();
});

core("a start with a key that was used gives the first job", async (client) => {
  const key = `order-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
  const first = await client.start("demo", "leaf", { i: 1 }, { key });
  const second = await client.start("demo", "leaf", { i: 1 }, { key });
  equal(second.id, first.id);
  const error = await rejects(client.start("demo", "leaf", { i: 2 }, { key }), ConflictError);
  equal([error.status, error.name], [409, "key-reused"]);
});

core("a start whose first answer is lost starts one job", async (client, place) => {
  // A call that no other test makes, so that the listing tells how many jobs this one started.
  const i = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  const through = new Client(place.lossy, { token: place.token });
  const job = await through.start<number>("demo", "leaf", { i });
  equal(await job.result({ timeout: "30s" }), i);
  const jobs = await all(client.jobs({ topic: "demo", task: "leaf" }));
  equal(
    jobs.filter(({ latest }) => latest.call === job.latest.call).map(({ id }) => id),
    [job.id],
  );
});

core("a delayed start, by a duration and by a time", async (client) => {
  const later = await client.start("demo", "leaf", { i: 1 }, { delay: "5m", scope: "job" });
  equal(later.latest.state, "scheduled");
  const in5 = later.latest.starts?.getTime() ?? 0;
  ok(Math.abs(in5 - Date.now() - 300_000) < 60_000, `starts ${in5}`);
  await later.cancel();
  const at = new Date(Date.now() + 3_600_000);
  const job = await client.start("demo", "leaf", { i: 1 }, { at, scope: "job" });
  equal(job.latest.starts, at);
  await job.cancel();
  const soon = await client.start<number>("demo", "leaf", { i: 9 }, { delay: { ms: 200 }, scope: "job" });
  equal(await soon.result({ timeout: "30s" }), 9);
});

core("a task that fails", async (client) => {
  const job = await client.start("demo", "fails_child", { message: "no luck" }, { scope: "job" });
  const error = await rejects(job.result({ timeout: "30s" }), JobFailedError);
  equal([error.job, error.task, error.kind, error.attempts], [job.id, "fails_child", "error", 1]);
  ok(error.message.includes("no luck"), error.message);
  ok(error.chain.length === 2 && error.chain[1]?.startsWith("fails: error: no luck"), error.chain.join("; "));
  equal((await job.status()).failure?.kind, "error");
});

core("a failure's details", async (client) => {
  const job = await client.start("demo", "attaches", { code: 42 }, { scope: "job" });
  const error = await rejects(job.result({ timeout: "30s" }), JobFailedError);
  equal([error.kind, error.details as unknown], ["error", { code: 42 }]);
});

core("a job that is cancelled", async (client) => {
  const job = await asks(client, "never");
  const waiting = rejects(job.result({ timeout: "30s" }), JobCancelledError);
  equal((await job.cancel()).state, "cancelled");
  equal((await waiting).job, job.id);
  const done = await client.start("demo", "leaf", { i: 1 }, { wait: "30s" });
  equal((await rejects(done.cancel(), ConflictError)).name, "job-over");
});

core("a job that takes too long", async (client) => {
  const job = await asks(client, "never", { timeout: "300ms" });
  const error = await rejects(job.result({ timeout: "30s" }), JobTimedOutError);
  equal(error.job, job.id);
  equal((await job.status()).state, "timed-out");
});

core("a wait that takes too long", async (client) => {
  const job = await asks(client, "go");
  for (const timeout of ["0s", "300ms", "1s"] as const) {
    const error = await rejects(job.result({ timeout }), WaitTimeoutError);
    equal(error.job, job.id);
  }
  // The job goes on.
  await client.promise(job, "go").resolve("gone");
  equal(await job.result(), "gone");
});

core("a promise is resolved", async (client) => {
  const job = await asks<{ ok: boolean }>(client, "approval");
  await waits(client, job.id);
  const approval = client.promise(job, "approval");
  await approval.resolve({ ok: true });
  equal(await job.result({ timeout: "30s" }), { ok: true });
  equal(await job.promises(), []);
  ok((await rejects(client.promise(job.id, "approval").resolve(1), ConflictError)).status === 409, "another answer");
});

core("a promise is rejected", async (client) => {
  const job = await asks(client, "approval");
  await waits(client, job.id);
  await client.promise(job, "approval").reject("too dear");
  const error = await rejects(job.result({ timeout: "30s" }), JobFailedError);
  equal([error.kind, error.message], ["rejected", "too dear"]);
});

core("a job is tried again", async (client) => {
  const job = await client.start("demo", "fails", { message: "once" }, { scope: "job" });
  await rejects(job.result({ timeout: "30s" }), JobFailedError);
  const again = await job.retry();
  ok(again.id !== job.id, "another id");
  equal(again.latest.retryOf, job.id);
  await rejects(again.result({ timeout: "30s" }), JobFailedError);
  const alive = await asks(client, "never");
  equal((await rejects(alive.retry(), ConflictError)).name, "job-alive");
  await alive.cancel();
});

core("a job's tree", async (client) => {
  const job = await client.start("demo", "fan_out", { n: 3 }, { scope: "job" });
  await job.result({ timeout: "30s" });
  const { tree, cut } = await job.tree();
  equal([tree.task, tree.state, cut], ["fan_out", "completed", false]);
  equal(
    tree.children.map((child) => child.task),
    ["leaf", "leaf", "leaf"],
  );
  equal((await job.tree({ depth: 1 })).tree.task, "fan_out");
});

core("what a job's calls have logged", async (client) => {
  const job = await client.start("demo", "prints", { line: "logs" }, { scope: "job" });
  await job.result({ timeout: "30s" });
  const lines: LogLine[] = [];
  for await (const line of job.logs()) lines.push(line);
  // The Rust SDK prints by the log of the host.
  equal(
    lines.map(({ stream, level, text, number }) => [stream, level, text, number]),
    [
      ["log", "info", "before logs", 0],
      ["log", "warn", "warning logs", 1],
      ["log", "info", "after logs", 2],
    ],
  );
  equal([lines[0]?.time instanceof Date, lines[0]?.task, lines[0]?.attempt, lines[0]?.fields], [true, "prints", 1, {}]);
  const texts: string[] = [];
  for await (const { text } of job.logs({ level: "warn" })) texts.push(text);
  equal(texts, ["warning logs"]);
});

core("a job's events, up to its end", async (client) => {
  const job = await client.start("demo", "fan_out", { n: 4 }, { label: "four", scope: "job" });
  const events = await all(job.events());
  ok(
    events.every((event) => event.job === job.id && event.at instanceof Date),
    "all are the job's",
  );
  const last = events.at(-1);
  equal([last?.subject, last?.to], ["job", "completed"]);
  equal(new Set(events.map((event) => event.id)).size, events.length);
  // From the middle on.
  const middle = events[2];
  const rest = await all(job.events({ after: middle?.id }));
  equal(rest, events.slice(3));
});

core("a job's events over connections that are cut", async (client, place) => {
  const job = await client.start("demo", "fan_out", { n: 12 }, { scope: "job" });
  const whole = await all(job.events());
  ok(whole.length > 12, `${whole.length} events`);
  const pieces = await all(new Client(place.cutting, { token: place.token }).job(job.id).events());
  equal(pieces, whole);
});

core("a loop over events that is left, and one with a signal", async (client) => {
  const job = await asks(client, "never");
  for await (const event of client.events({ topic: "demo" })) {
    ok(event.topic === "demo", event.topic);
    break;
  }
  const controller = new AbortController();
  const reason = new Error("enough");
  const events = all(job.events({ signal: controller.signal }));
  setTimeout(() => controller.abort(reason), 100);
  same(await rejects(events, Error), reason);
  await job.cancel();
});

core("a list of jobs, over pages", async (client) => {
  const started = new Set<string>();
  for (let i = 0; i < 5; i++) started.add((await client.start("demo", "dice", { i }, { scope: "job" })).id);
  for (const id of started) await client.job(id).result({ timeout: "30s" });
  const seen: string[] = [];
  for await (const job of client.jobs({ topic: "demo", task: "dice", state: "completed", pageSize: 2 })) {
    equal([job.latest.topic, job.latest.task, job.latest.state], ["demo", "dice", "completed"]);
    if (started.has(job.id)) seen.push(job.id);
  }
  equal(seen.sort(), [...started].sort());
});

core("a list of jobs by their label and time", async (client) => {
  const label = `list-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
  const started: string[] = [];
  for (let i = 0; i < 5; i++) started.push((await client.start("demo", "dice", { i }, { scope: "job", label })).id);
  const found = await all(client.jobs({ label, pageSize: 2 }));
  equal(
    found.map(({ id }) => id),
    started.reverse(),
  );
  ok(
    found.every(({ latest }) => latest.label === label),
    "the label",
  );
  const ids = async (filter: JobFilter) => (await all(client.jobs({ label, pageSize: 1, ...filter }))).map(({ id }) => id);
  // The time of a job is the first one at which `since` finds it, and the last one at which `until` does not.
  const middle = found[2]?.latest.created ?? new Date();
  const split = (older: boolean) => found.filter(({ latest }) => latest.created < middle === older).map(({ id }) => id);
  equal(await ids({ since: middle }), split(false));
  equal(await ids({ until: middle }), split(true));
  equal(await ids({ since: middle, until: middle }), []);
  equal(await ids({ since: "1h" }), started);
  equal(await ids({ until: { ms: 3_600_000 } }), []);
  equal((await rejects(ids({ since: new Date(NaN) }), TypeError)).message, "since is an invalid Date");
});

core("topics and their tasks", async (client) => {
  const topics = await client.topics();
  const demo = topics.find(({ topic }) => topic === "demo");
  ok(demo?.tasks?.includes("fib"), "topics");
  const { topic, tasks } = await client.topic("demo");
  equal(topic, "demo");
  const described = tasks?.find(({ task }) => task === "described");
  equal(described?.description, "Repeats a text.");
  ok(described?.inputSchema && described.outputSchema, "schemas");
  equal((await rejects(client.topic("nowhere"), NotFoundError)).name, "no-such-topic");
});

core("a schedule", async (client) => {
  const schedule = client.schedule("demo", `nightly-${crypto.getRandomValues(new Uint32Array(1))[0]}`);
  const spec = {
    cron: "0 3 * * *",
    tz: "Europe/Berlin",
    task: "leaf",
    input: { i: 5 },
    overlap: "skip",
    catchUp: "1h",
    timeout: "1m",
  } as const;
  const made = await schedule.put(spec);
  equal([made.name, made.topic, made.task, made.cron, made.tz], [schedule.name, "demo", "leaf", spec.cron, spec.tz]);
  equal([made.overlap, made.paused, made.last, made.lastJob], ["skip", false, null, null]);
  ok(made.next instanceof Date && made.next.getTime() > Date.now(), "next");
  equal(made.input, { i: 5 });
  equal((await schedule.put(spec)).cron, spec.cron);
  equal((await schedule.pause()).paused, true);
  equal((await schedule.resume()).paused, false);
  equal((await schedule.get()).name, schedule.name);
  ok(
    (await client.schedules("demo")).some(({ name }) => name === schedule.name),
    "the list",
  );
  const job = await schedule.run<number>();
  equal(await job.result({ timeout: "30s" }), 5);
  await schedule.delete();
  equal((await rejects(schedule.get(), NotFoundError)).name, "no-such-schedule");
  await rejects(schedule.delete(), NotFoundError);
});

core("dead letters", async (client) => {
  equal(await client.deadLetters("demo"), []);
  equal((await rejects(client.sendDeadLetter("demo", "nothing"), NotFoundError)).name, "no-such-dead-letter");
  equal((await rejects(client.deleteDeadLetter("demo", "nothing"), NotFoundError)).name, "no-such-dead-letter");
});

core("bytes in and out", async (client) => {
  const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => (i * 7) % 251);
  const job = await client.start<Uint8Array>("demo", "echo", bytes);
  const back = await job.result({ timeout: "30s" });
  ok(back instanceof Uint8Array, "bytes");
  equal(back, bytes);
  const status = await job.status();
  equal(status.result, bytes);
});

core("whole numbers of any size", async (client) => {
  const text = '[9007199254740991, 9007199254740993, -123456789012345678901234567890, 1.5, "9007199254740993"]';
  const job = await client.start<unknown[]>("demo", "echo", new TextEncoder().encode(text));
  const expected = [9007199254740991, 9007199254740993n, -123456789012345678901234567890n, 1.5, "9007199254740993"];
  equal(await job.result({ timeout: "30s" }), expected);
  equal((await job.status()).result, expected);
  const there = await client.start<bigint>("demo", "relays", { task: "leaf", topic: null, args: { i: 9007199254740993n } });
  equal(await there.result({ timeout: "30s" }), 9007199254740993n);
});

core("what the gateway refuses", async (client, place) => {
  equal((await rejects(client.start("demo", "no_such_task"), NotFoundError)).name, "no-such-task");
  equal((await rejects(client.start("nowhere", "fib", { n: 1 }), NotFoundError)).name, "no-such-topic");
  const job = client.job("0".repeat(32));
  const asks = [
    () => job.status(),
    () => job.result(),
    () => job.cancel(),
    () => job.retry(),
    () => job.tree(),
    () => job.promises(),
    () => all(job.events()),
  ];
  for (const ask of asks) equal((await rejects<NotFoundError>(ask(), NotFoundError)).name, "no-such-job");
  const error = await rejects(client.start("demo", "described", { text: 5, times: 1 }), InvalidInputError);
  equal([error.status, error.name, error.errors[0]?.pointer], [422, "invalid-input", "/text"]);
  ok(error.detail !== "" && error.errors[0]?.message, "what is wrong");
  const refused = await rejects(new Client(place.url, { token: "wrong" }).topics(), UnauthorizedError);
  equal([refused.status, refused.name], [401, "unauthorized"]);
  ok(refused instanceof ApiError, "an ApiError");
});

core("a signal ends a wait", async (client) => {
  const job = await asks(client, "never");
  const reason = new Error("enough");
  const controller = new AbortController();
  const waiting = job.result({ signal: controller.signal });
  setTimeout(() => controller.abort(reason), 100);
  same(await rejects(waiting, Error), reason);
  same(await rejects(client.topics({ signal: AbortSignal.abort(reason) }), Error), reason);
  await job.cancel();
});

/** A job that waits for a promise. It has a call of its own: those of other cases have other outcomes. */
function asks<Result = unknown>(client: Client, name: string, options: StartOptions = {}): Promise<KnownJob<Result>> {
  return client.start<Result>("demo", "asks", { name, limit: 0 }, { scope: "job", ...options });
}

/** Until the job waits for a promise. */
async function waits(client: Client, id: string): Promise<void> {
  for await (const event of client.job(id).events()) if (event.to === "deferred") break;
  equal(
    (await client.job(id).promises()).map(({ name }) => name),
    ["approval"],
  );
}
