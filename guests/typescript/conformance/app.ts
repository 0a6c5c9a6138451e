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

export const failsPermanently = taskFn("fails_permanently", (): never => {
  throw new Permanent("never works");
});

export const loops = taskFn("loops", (): never => {
  for (;;);
});

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
