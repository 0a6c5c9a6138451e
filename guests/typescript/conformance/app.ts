/** One small task for each thing that a host must get right. The Rust and Python guests have the same ones. */
import { CallFailed, Permanent, handler, taskFn, type App } from "brrr";

export const noop = taskFn("noop", () => null);

export const hello = taskFn("hello", ({ greetee = "World" }: { greetee?: string }) => `Hello, ${greetee}!`);

/** A tree of calls. With a salt every call in it is another one; without, equal calls are one. */
export const fib = handler("fib", async (app: App, args: { n: number; salt?: string | null }): Promise<number> => {
  const n = Number(args.n);
  if (n < 2) return n;
  const salted = (side: string) => (args.salt == null ? null : args.salt + side);
  const [a, b] = await Promise.all([
    app.call(fib)({ n: n - 2, salt: salted("l") }),
    app.call(fib)({ n: n - 1, salt: salted("r") }),
  ]);
  return a + b;
});

export const leaf = taskFn("leaf", ({ i }: { i: number }) => i);

const leaves = (app: App, n: number) => Array.from({ length: Number(n) }, (_, i) => app.call(leaf)({ i }));

/** `n` children at once; their sum, once it is sure that their results came in order. */
export const fanOut = handler("fan_out", async (app: App, { n }: { n: number }) => {
  const results = await Promise.all(leaves(app, n));
  if (results.some((result, i) => result !== i)) throw new Error("the outcomes are not in the order of the calls");
  return results.reduce((a, b) => a + b, 0);
});

/** `n` children, one after the other. */
export const sequential = handler("sequential", async (app: App, { n }: { n: number }) => {
  let total = 0;
  for (let i = 0; i < Number(n); i++) total += await app.call(leaf)({ i });
  return total;
});

/** The first of `n` children. */
export const race = handler("race", (app: App, { n = 2 }: { n?: number }) => app.first(...leaves(app, n)));

export const fails = taskFn("fails", ({ message = "boom" }: { message?: string }): never => {
  throw new Error(message);
});

/** A child's failure, caught. */
export const catches = handler("catches", async (app: App, { message = "boom" }: { message?: string }) => {
  try {
    await app.call(fails)({ message });
  } catch (error) {
    if (error instanceof CallFailed) return `caught: ${error.message.split("\n")[0]}`;
    throw error;
  }
  return "nothing to catch";
});

/** A child's failure, not caught. */
export const failsChild = handler("fails_child", (app: App, { message = "boom" }: { message?: string }) =>
  app.call(fails)({ message }),
);

export const unknownChild = handler("unknown_child", (app: App) => app.call<[], unknown>("no_such_task")());

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
  { maxRetries: 2, retryDelay: 0.01 },
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
    if (attempt < Number(until)) throw new Error(`attempt ${attempt} fails`);
    return { attempt };
  },
  { maxRetries: 3, retryDelay: 0.01, backoff: "fixed" },
);

const spin = (): never => {
  for (;;);
};

/** Never ends. */
export const loops = taskFn("loops", spin);

/** Never ends, and is stopped soon. */
export const spinBrieflyLimited = taskFn("spin_briefly_limited", spin, { timeout: 0.3, maxRetries: 0 });

/** Calls what never ends, with options of its own; the kind of its failure. */
export const withOptions = handler("with_options", async (app: App) => {
  try {
    await app.call(loops, { timeout: 0.2, maxRetries: 0, label: "brief" })();
  } catch (error) {
    if (error instanceof CallFailed) return error.kind;
    throw error;
  }
  throw new Permanent("it never ends");
});

/** Has every option that there is. */
export const fullOptions = taskFn("full_options", () => null, {
  timeout: 10,
  maxRetries: 1,
  retryDelay: 0.01,
  backoff: "exponential",
  maxRetryDelay: 1,
  maxRunning: 2,
  memory: "128MiB",
});

/** Works until its time is nearly over, and stops by itself. */
export const patient = handler(
  "patient",
  async (app: App) => {
    while (app.isActive() && app.timeLeft() > 0.1) await app.sleep(5);
    return "stopped in time";
  },
  { leaf: true, timeout: 0.5 },
);

/** Really sleeps, being a leaf; the seconds by which the clock moved. */
export const sleeper = handler(
  "sleeper",
  async (app: App, { seconds }: { seconds: number }) => {
    const before = Date.now();
    await app.sleep(Number(seconds) * 1000);
    return (Date.now() - before) / 1000;
  },
  { leaf: true },
);

/** Takes memory until it is stopped. */
export const grows = taskFn("grows", (): never => {
  const hoard: Uint8Array[] = [];
  for (;;) hoard.push(new Uint8Array(1 << 20).fill(1));
});

export const recurses = taskFn("recurses", () => {
  const deeper = (n: number): number => deeper(n + 1) + 1;
  return deeper(0);
});

/** A result of that many bytes, its two quotes included. */
export const bigResult = taskFn("big_result", ({ bytes }: { bytes: number }) => "x".repeat(Number(bytes) - 2));

/** Lines on every way out, some before a call and one after it, so that a replay would print them twice. */
export const prints = handler("prints", async (app: App, { lines = 1 }: { lines?: number }) => {
  for (let i = 0; i < Number(lines); i++) console.log(`line ${i}`);
  console.warn("a warning");
  console.error("an error");
  await app.call(leaf)({ i: 0 });
  console.log("after the call");
  return Number(lines);
});

/** The Unix time in milliseconds before and after a call: in every replay the same. */
export const clock = handler("clock", async (app: App) => {
  const before = Date.now();
  await app.call(leaf)({ i: 0 });
  return [before, Date.now()];
});

/** A random number before and after a call: in every replay the same. */
export const random = handler("random", async (app: App) => {
  const before = Math.random();
  await app.call(leaf)({ i: 0 });
  return [before, Math.random()];
});
