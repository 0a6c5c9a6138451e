/** The tasks of guests/CONFORMANCE.md. */
import { CallFailed, Permanent, env, handler, handlerRaw, log, readTextFile, taskFn, writeFile, type App, type CallOptions } from "brrr";

export const noop = taskFn("noop", () => null);

export const hello = taskFn("hello", ({ greetee }: { greetee: string }) => `Hello, ${greetee}!`);

/** A tree of calls. With a salt every call in it is another one; without, equal calls are one. */
export const fib = handler("fib", async (app: App, args: { n: number; salt?: string | null }): Promise<number> => {
  const { n } = args;
  if (n < 2) return n;
  const salted = (side: string) => (args.salt == null ? null : args.salt + side);
  const [a, b] = await Promise.all([
    app.call(fib)({ n: n - 2, salt: salted("l") }),
    app.call(fib)({ n: n - 1, salt: salted("r") }),
  ]);
  return a + b;
});

/** `n` detached jobs; their ids. */
export const spawns = handler("spawns", async (app: App, { n }: { n: number }) => {
  const ids: string[] = [];
  for (let i = 0; i < n; i++) ids.push(await app.spawn(fib)({ n: i, salt: "spawn" }));
  return ids;
});

/** A detached job before a call, which another run starts again, and one after it. */
export const spawnsBetween = handler("spawns_between", async (app: App) => {
  const before = await app.spawn(fib)({ n: 1, salt: "between" });
  await app.call(fib)({ n: 2, salt: null });
  return [before, await app.spawn(fib)({ n: 3, salt: "between" })];
});

export const leaf = taskFn("leaf", ({ i }: { i: number }) => i);

const leaves = (app: App, n: number) => Array.from({ length: n }, (_, i) => app.call(leaf)({ i }));

/** `n` children at once; their sum. */
export const fanOut = handler("fan_out", async (app: App, { n }: { n: number }) => {
  const values = await Promise.all(leaves(app, n));
  return values.reduce((a, b) => a + b, 0);
});

/** The same children; their values in the order of the calls. */
export const gather = handler("gather", (app: App, { n }: { n: number }) => Promise.all(leaves(app, n)));

/** `n` children, one after the other. */
export const sequential = handler("sequential", async (app: App, { n }: { n: number }) => {
  let total = 0;
  for (let i = 0; i < n; i++) total += await app.call(leaf)({ i });
  return total;
});

/** `n` chains of two calls at the same time. */
export const chains = handler("chains", (app: App, { n }: { n: number }) => {
  const chain = async (k: number) => app.call(leaf)({ i: (await app.call(leaf)({ i: k })) + n });
  return Promise.all(Array.from({ length: n }, (_, k) => chain(k)));
});

/** A race of two topics, then a call on a third: which won, its value, and that call's. */
export const race = handler("race", async (app: App, { slow, gate }: { slow: string; gate: string }) => {
  const calls = [app.call(leaf, { topic: slow })({ i: 0 }), app.call(leaf)({ i: 1 })];
  const [winner] = await app.some(1, ...calls);
  return [winner!, await calls[winner!]!, await app.call(leaf, { topic: gate })({ i: 2 })];
});

/** The values of the first `need` of `n` children, null for the others. */
export const raceOf = handler("race_of", async (app: App, { need, n }: { need: number; n: number }) => {
  const calls = leaves(app, n);
  const values: (number | null)[] = calls.map(() => null);
  for (const i of await app.some(need, ...calls)) values[i] = await calls[i]!;
  return values;
});

export const fails = taskFn(
  "fails",
  ({ message }: { message: string }): never => {
    throw new Error(message);
  },
  { maxRetries: 0 },
);

/** A child's failure, caught, beside the value of one that did not fail. */
export const catches = handler("catches", async (app: App, { message }: { message: string }) => {
  const [failed, fine] = await Promise.allSettled([app.call(fails)({ message }), app.call(leaf)({ i: 1 })]);
  if (failed.status === "fulfilled" || !(failed.reason instanceof CallFailed) || fine.status === "rejected") {
    throw new Permanent("the first child should have failed, and only that one");
  }
  const { kind, task, message: seen } = failed.reason;
  return { kind, task, message: seen, fine: fine.value };
});

/** A child's failure, not caught. */
export const failsChild = handler("fails_child", (app: App, { message }: { message: string }) =>
  app.call(fails)({ message }),
);

export const unknownChild = handler("unknown_child", (app: App) => app.call<object, unknown>("no_such_task")({}));

/** An error that no retry can mend, although it may be retried. */
export const stubborn = taskFn(
  "stubborn",
  (): never => {
    throw new Permanent("no use");
  },
  { maxRetries: 3 },
);

/** An error that might pass and never does. */
export const alwaysFails = taskFn(
  "always_fails",
  (): never => {
    throw new Error("never works");
  },
  { maxRetries: 2, retryDelayMs: 10 },
);

/** A child that fails after its retries: caught, or passed on. For that it is not run again itself. */
export const callsAlwaysFails = handler(
  "calls_always_fails",
  async (app: App, args: { catch: boolean }) => {
    try {
      await app.call(alwaysFails)();
    } catch (error) {
      if (!(args.catch && error instanceof CallFailed)) throw error;
      const { kind, task, message, attempts } = error;
      return { kind, task, message, attempts };
    }
    throw new Permanent("the child should have failed");
  },
  { maxRetries: 5 },
);

/** Fails before the attempt `until`, then says which one it is. */
export const flaky = handler(
  "flaky",
  (app: App, { until }: { until: number }) => {
    const { attempt } = app.request;
    if (attempt < until) throw new Error(`attempt ${attempt} fails`);
    return { attempt };
  },
  { maxRetries: 3, retryDelayMs: 10, backoff: "fixed" },
);

const spin = (): never => {
  for (;;);
};

/** Never ends. */
export const loops = taskFn("loops", spin);

/** Never ends, and is stopped soon. */
export const spinBrieflyLimited = taskFn("spin_briefly_limited", spin, { timeoutMs: 300, maxRetries: 0 });

/** Calls what never ends, with options of its own; the kind of its failure. */
export const withOptions = handler("with_options", async (app: App) => {
  try {
    await app.call(loops, { timeoutMs: 200, maxRetries: 0, label: "brief" })();
  } catch (error) {
    if (error instanceof CallFailed) return error.kind;
    throw error;
  }
  throw new Permanent("it never ends");
});

/** Has every option that there is. */
export const fullOptions = taskFn("full_options", () => null, {
  timeout: "10s",
  maxRetries: 1,
  retryDelayMs: 10,
  backoff: "exponential",
  maxRetryDelay: "1s",
  maxRunning: 2,
  memory: "128MiB",
});

/** Works until its time is nearly over, and stops by itself. */
export const patient = handler(
  "patient",
  async (app: App) => {
    while (app.isActive() && app.timeLeftMs() > 100) await app.sleepMs(5);
    return "stopped in time";
  },
  { leaf: true, timeout: "500ms" },
);

/** Really sleeps, being a leaf; the seconds by which the clock moved. */
export const sleeper = handler(
  "sleeper",
  async (app: App, { seconds }: { seconds: number }) => {
    const before = Date.now();
    await app.sleepMs(seconds * 1000);
    return (Date.now() - before) / 1000;
  },
  { leaf: true },
);

/** Takes memory until it is stopped. */
export const grows = taskFn(
  "grows",
  (): never => {
    const hoard: Uint8Array[] = [];
    for (;;) hoard.push(new Uint8Array(1 << 20).fill(1));
  },
  { maxRetries: 0 },
);

export const recurses = taskFn(
  "recurses",
  () => {
    const deeper = (n: number): number => deeper(n + 1) + 1;
    return deeper(0);
  },
  { maxRetries: 0 },
);

/** A result of that many bytes, its two quotes included. */
export const bigResult = taskFn("big_result", ({ bytes }: { bytes: number }) => "x".repeat(bytes - 2));

export const echo = handlerRaw("echo", (_app, payload) => payload);

/** A call in bytes that are no JSON; how many came back, and whether they are the same. */
export const callRaw = handler("call_raw", async (app: App, { bytes }: { bytes: number }) => {
  const sent = Uint8Array.from({ length: bytes }, (_, i) => i % 256);
  const got = await app.callRaw(echo, sent);
  return [got.length, got.length === sent.length && got.every((byte, i) => byte === sent[i])];
});

export const callTopic = handler("call_topic", (app: App, { topic, i }: { topic: string; i: number }) =>
  app.call(leaf, { topic })({ i }),
);

/** Two different calls that claim one identity: they share the first one's value. */
export const callHash = handler("call_hash", async (app: App, { hash }: { hash: string }) => {
  const first = await app.call(leaf, { callHash: hash })({ i: 1 });
  const second = await app.call(leaf, { callHash: hash })({ i: 2 });
  return [first, second];
});

/** Any call, with any arguments. */
export const relays = handler(
  "relays",
  (app: App, { task, topic, args }: { task: string; topic: string | null; args: object }) =>
    app.call<object, unknown>(task, topic === null ? {} : { topic })(args),
);

/** What a handler is told about its call. */
export const about = handler(
  "about",
  (app: App) => {
    const { task, callHash: call_hash, jobId: root_id, topic, attempt, deadlineMs } = app.request;
    return { task, call_hash, root_id, topic, attempt, has_deadline: deadlineMs != null };
  },
  { timeout: "30s" },
);

/** Lines before and after a call: each must be seen once, though the handler runs twice. */
export const prints = handler("prints", async (app: App, { line }: { line: string }) => {
  console.log(`before ${line}`);
  console.warn(`warning ${line}`);
  await app.call(leaf)({ i: 1 });
  console.log(`after ${line}`);
  return line;
});

/** The time, and the same after a replay: a clock that had moved would ask for another child. */
export const clock = handler("clock", async (app: App) => {
  const now = Date.now();
  return [now, await app.call(leaf)({ i: now })];
});

/** Sleeps, then says how far the clock moved. The run is dropped meanwhile. */
export const sleeps = handler("sleeps", async (app: App, { ms }: { ms: number }) => {
  const before = Date.now();
  await pause(ms, null);
  return app.call(leaf)({ i: Date.now() - before });
});

/** A whole number that all languages can hold. */
const number = () => Math.floor(Math.random() * 2 ** 53);

/** A random number, the same after a replay, and another one. */
export const random = handler("random", async (app: App) => {
  const drawn = number();
  return [drawn, await app.call(leaf)({ i: drawn }), number()];
});

/** A leaf's clock, sleep and random numbers. */
export const real = handler(
  "real",
  async (app: App, { ms }: { ms: number }) => {
    const before = Date.now();
    await app.sleepMs(ms);
    return { before, after: Date.now(), random: number() };
  },
  { leaf: true },
);

/** What an attempt gives, or `prefix` and the text of its error. */
async function orError<T>(attempt: () => T | Promise<T>, prefix = "error: "): Promise<T | string> {
  try {
    return await attempt();
  } catch (error) {
    return prefix + (error as Error).message;
  }
}

/** Tries to reach out of its component. */
export const forbidden = taskFn("forbidden", async ({ port, path }: { port: number; path: string }) => {
  const refused = (attempt: () => unknown) => orError(async () => (await attempt(), "got it"), "refused: ");
  const files = [await refused(() => readTextFile(path)), await refused(() => writeFile(`${path}.new`, "x"))];
  return {
    network: await refused(() => fetch(`http://127.0.0.1:${port}/`)),
    files: files.find((said) => said === "got it") ?? files[0],
    environment: Object.keys(process.env),
  };
});

/** What is at a URL. */
export const httpGet = taskFn(
  "http_get",
  async ({ url }: { url: string }) => {
    const response = await fetch(url);
    return { status: response.status, body: await response.text() };
  },
  { leaf: true, maxRetries: 0 },
);

/** A request of any kind, with headers and a body. */
export const httpSend = taskFn(
  "http_send",
  async ({ url, ...init }: { method: string; url: string; headers: Record<string, string>; body: string }) => {
    const response = await fetch(url, init);
    return { status: response.status, body: await response.text() };
  },
  { leaf: true, maxRetries: 0 },
);

/** All at once; their bodies, in order. */
export const httpSeveral = taskFn(
  "http_several",
  ({ urls }: { urls: string[] }) => Promise.all(urls.map(async (url) => (await fetch(url)).text())),
  { leaf: true, maxRetries: 0 },
);

/** A request beside a call. */
export const httpBeside = handler(
  "http_beside",
  (app: App, { url, i }: { url: string; i: number }) =>
    Promise.all([fetch(url).then((response) => response.text()), app.call(leaf)({ i })]),
  { maxRetries: 0 },
);

/** A request that fails is an ordinary error. */
export const httpCaught = taskFn(
  "http_caught",
  ({ url }: { url: string }) => orError(async () => `status ${(await fetch(url)).status}`),
  { leaf: true, maxRetries: 0 },
);

/** A variable, or why not. */
export const envGet = taskFn("env_get", ({ key }: { key: string }) => orError(() => env(key)), { leaf: true });

/** A file's text, or why not. */
export const fileRead = taskFn("file_read", ({ path }: { path: string }) => orError(() => readTextFile(path)), {
  leaf: true,
});

/** Writes a file, and says `written` or why not. */
export const fileWrite = taskFn(
  "file_write",
  ({ path, text }: { path: string; text: string }) => orError(() => (writeFile(path, text), "written")),
  { leaf: true },
);

/** The text up to the middle of its first character beyond U+FFFF: half of it is at the end. */
const cutOff = (text: string): string => text.slice(0, text.search(/[\ud800-\udbff]/) + 1);

/** Half a character, on each way out. */
export const cut = taskFn(
  "cut",
  ({ kind, text }: { kind: string; text: string }) => {
    const part = `cut: ${cutOff(text)}`;
    if (kind === "output") console.log(part);
    if (kind === "log") console.warn(part);
    if (kind === "error") throw new Error(part);
    if (kind === "permanent") throw new Permanent(part);
    return "done";
  },
  { maxRetries: 1, retryDelayMs: 10 },
);

export const causes = taskFn(
  "causes",
  () => {
    throw new Error("outer trouble", { cause: new Error("inner trouble") });
  },
  { maxRetries: 0 },
);

export const several = taskFn(
  "several",
  () => {
    throw new AggregateError([new Error("first trouble"), new Error("second trouble")], "several troubles");
  },
  { maxRetries: 0 },
);

export const nothing = taskFn("nothing", () => {});

export const noNumber = taskFn("no_number", () => ({ values: [1, NaN] }), { maxRetries: 1, retryDelayMs: 10 });

/** Noon UTC in Zurich: a component has no Intl, and says so. */
export const zone = taskFn("zone", () =>
  new Date("2024-07-01T12:00:00Z").toLocaleString("de-CH", { timeZone: "Europe/Zurich" }),
);

/** A call in the result that was not awaited. */
export const forgotten = handler("forgotten", (app: App) => ({ x: app.call(leaf)({ i: 1 }) }), {
  maxRetries: 1,
  retryDelayMs: 10,
});

/** A call that nobody waits for. */
export const floating = handler("floating", (app: App) => {
  void app.call(leaf)({ i: 1 });
  return "done";
});

/** What is thrown need not be an error that JSON can hold. */
export const throws = taskFn(
  "throws",
  ({ kind }: { kind: string }) => {
    if (kind === "cycle") {
      const thrown: Record<string, unknown> = { status: 500 };
      thrown.self = thrown;
      throw thrown;
    }
    if (kind === "bigint") throw 10n;
    if (kind === "getter") {
      throw Object.defineProperty(new Error("outer"), "message", {
        get() {
          throw new Error("inner trouble");
        },
      });
    }
    void Promise.reject(new Error("nobody looks"));
    return "done";
  },
  { maxRetries: 0 },
);

/** Promises in the result that were not awaited. */
export const mapped = handler(
  "mapped",
  (app: App) => [1, 2].map(async (i) => await app.call(leaf)({ i })),
  { maxRetries: 1, retryDelayMs: 10 },
);

/** A promise of the engine's own. */
export const fromAsync = taskFn("from_async", async () => Array.fromAsync([1, Promise.resolve(2)]));

export const same = taskFn("same", ({ x }: { x: number }) => x);

/** Ends after so long, with that value. */
const pause = <T>(ms: number, value: T) => new Promise<T>((resolve) => setTimeout(resolve, ms, value));

/** A leaf that takes so long. */
export const nap = taskFn("nap", ({ ms, tag }: { ms: number; tag: string }) => pause(ms, tag), { leaf: true });

/** Four chains at the same time: none waits for the slow step of another. */
export const sides = handler("sides", (app: App, { ms, salt }: { ms: number; salt: string }) => {
  const chain = async (k: number) => {
    let last = "";
    for (let i = 0; i < 4; i++) last = await app.call(nap)({ ms: i === k ? ms : 0, tag: `${salt}${k}${i}` });
    return last;
  };
  return Promise.all([0, 1, 2, 3].map(chain));
});

/** The first failure is the end. */
export const failFast = handler(
  "fail_fast",
  (app: App, { ms, salt }: { ms: number; salt: string }) =>
    Promise.all([app.call(fails)({ message: salt }), app.call(nap)({ ms, tag: salt })]),
  { maxRetries: 0 },
);

interface Limited {
  ms: number;
  limit: number;
  tag: string;
}

/** A call with a limit, as a race with a timer. */
export const tooLate = handler("too_late", (app: App, { ms, limit, tag }: Limited) =>
  Promise.race([app.call(nap)({ ms, tag }), pause(limit, "too late")]),
);

/** The same by a signal; then the call once more, without a limit. */
export const twiceLate = handler("twice_late", async (app: App, { ms, limit, tag }: Limited) => {
  const late = (error: Error) => {
    if (error.name !== "TimeoutError") throw error;
    return "too late";
  };
  const first = await app.call(nap, { signal: AbortSignal.timeout(limit) })({ ms, tag }).catch(late);
  return [first, await app.call(nap)({ ms, tag })];
});

/** What somebody outside answers, in time. */
export const asks = handler("asks", (app: App, { name, limit }: { name: string; limit: number }) => {
  const answer = app.promise(name);
  return limit === 0 ? answer : Promise.race([answer, pause(limit, "too late")]);
});

export const asksOr = handler("asks_or", (app: App, { name, ms, tag }: { name: string; ms: number; tag: string }) =>
  Promise.race([app.promise(name), app.call(nap)({ ms, tag })]),
);

export const asksCaught = handler("asks_caught", async (app: App, { name }: { name: string }) => {
  try {
    await app.promise(name);
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error;
    return { kind: error.kind, message: error.message };
  }
  throw new Permanent("it should have been rejected");
});

export const dice = taskFn("dice", (_: { i: number }) => number(), { leaf: true });

/** A call that is shared as far as `scope` says. */
export const scoped = handler("scoped", (app: App, { scope, i }: { scope: CallOptions["scope"] | null; i: number }) =>
  app.call(dice, { scope: scope ?? undefined })({ i }),
);

/** An error with details, and who reads them. */
export const attaches = taskFn(
  "attaches",
  ({ code }: { code: number }): never => {
    throw new Permanent("attached", { details: { code } });
  },
  { maxRetries: 0 },
);
export const readsDetails = handler("reads_details", async (app: App, { code }: { code: number }) => {
  try {
    await app.call(attaches)({ code });
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error;
    return error.details.code;
  }
  throw new Permanent("it should have failed");
});

export const logsFields = taskFn("logs_fields", () => log.info("with fields", { a: 1, b: "two" }));

export const described = taskFn("described", ({ text, times }: { text: string; times: number }) => text.repeat(times), {
  maxRetries: 0,
  description: "Repeats a text.",
  input: {
    type: "object",
    properties: { text: { type: "string" }, times: { type: "integer" } },
    required: ["text", "times"],
  },
  output: { type: "string" },
});

export const greet = taskFn("typescript_greet", ({ name }: { name: string }) => `${name} from typescript`);

/** One child for each task, each on its topic, in one batch. */
export const gatherNamed = handler(
  "typescript_gather",
  (app: App, { name, tasks, topics }: { name: string; tasks: string[]; topics: (string | null)[] }) =>
    Promise.all(tasks.map((task, i) => app.call<object, string>(task, { topic: topics[i] ?? undefined })({ name }))),
);
