/**
 * Tries handlers in Node, for any test runner: the very code that goes into the component, in a world of its own, over a host
 * that is played here. Nothing waits: its clock jumps to what comes next.
 *
 *     import { load, after } from "brrr/testing";
 *     const app = await load(new URL("./app.ts", import.meta.url));
 *     const { result, took } = app.run("order", { id: 1 }, { children: { price: () => after("2s", 3) }, promises: { approval: true } });
 *
 * `brrr-host test` tries more: replays, all orders of arrival, and the limits of a real component.
 */
import vm from "node:vm";
import { fileURLToPath } from "node:url";
import { bundle } from "./bin/bundle.mjs";

/** When a handler's clock starts, unless a test says otherwise. */
const START = Date.parse("2030-01-01T00:00:00Z");

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A child's value that is there only after so long: a text such as "2s". */
export function after(duration, value) {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(duration) ?? [];
  if (unit === undefined) throw new TypeError(`after takes a text like "2s" (units: ms, s, m, h, d), not ${JSON.stringify(duration)}`);
  return new Later(Number(number) * UNITS[unit], value);
}

class Later {
  constructor(ms, value) {
    Object.assign(this, { ms, value });
  }
}

/** The error of a task that failed: `kind` is "retryable", "permanent", or that of the child that failed. */
export class TaskFailed extends Error {
  name = "TaskFailed";

  constructor({ tag, val }) {
    super(val.message);
    this.kind = tag === "child" ? val.kind : tag;
    if (tag === "child") this.task = val.task;
    this.details = val.details ? JSON.parse(text(val.details)) : undefined;
  }
}

/** The handlers of a module: a path or a URL. */
export async function load(module) {
  const start = await loadBundle(module);
  const run = (task, args, given = {}, now = START, depth = 0, spawned = []) => {
    if (depth > 100) throw new Error(`the calls of ${task} never end`);
    const host = new TestHost((call, at) => answer(call, at), now);
    const { handler } = start(host);
    const own = new Set(handler.describe().tasks.map(({ name }) => name));
    const answer = ({ task, payload, topic, options }, at) => {
      if (isDetached({ options })) {
        const id = (spawned.length + 1).toString(16).padStart(32, "0");
        spawned.push({ id, task, topic, argument: argumentOf(payload) });
        return ok(id);
      }
      const failed = (kind, error) =>
        err({ kind, task, message: error.message, attempts: 1, chain: [`${task}: ${error.message}`], details: null });
      const isPromise = task === "brrr.promise";
      const source = isPromise ? given.promises : given.children;
      const name = isPromise ? text(payload) : task;
      if (source !== undefined && Object.hasOwn(source, name)) {
        try {
          const value = typeof source[name] === "function" ? source[name](...(isPromise ? [] : JSON.parse(text(payload)))) : source[name];
          return value instanceof Later ? { ...ok(value.value), after: value.ms } : ok(value);
        } catch (error) {
          return failed(isPromise ? "rejected" : "error", error);
        }
      }
      // Nobody answers: a time limit strikes, or the test says what the handler waits for.
      if (isPromise) return undefined;
      if (!own.has(task)) throw new Error(`the handler calls ${task}, which the module does not have: give it in \`children\``);
      const child = run(task, JSON.parse(text(payload)), given, at, depth + 1, spawned);
      host.lines.push(...child.lines);
      if (!child.error) return { ...ok(child.result), after: child.took };
      const { tag, val } = child.error;
      return { ...(tag === "child" ? err(val) : failed("error", val)), after: child.took };
    };
    const request = {
      task, payload: bytes(JSON.stringify(args)), callHash: "test", jobId: "test", topic: "test", attempt: 1, deadlineMs: null,
    };
    const over = (more) => ({ lines: host.lines, polls: host.polls, spawned, took: host.unixTime() - now, ...more });
    try {
      const result = JSON.parse(text(handler.handle(request)));
      if (host.fault) throw host.fault;
      return over({ result });
    } catch (error) {
      // What is no error of the handler is one of the test's.
      if (host.fault) throw host.fault;
      if (error?.tag !== undefined) return over({ error });
      throw error;
    }
  };
  return {
    /**
     * Runs a task with one argument. `children`: what its calls give, by the task: a value, or a function of the arguments,
     * which may throw; other tasks of the module are run. `promises`: what they are resolved with, by name; a function that
     * throws rejects. `now`: the time at which it begins, as a Date takes it. Gives the `result`, the logged `lines`
     * (`level`, `message`, `fields`), the `polls`, the detached jobs that were `spawned` and are not run (`id`, `task`, `topic`,
     * `argument`), and how many milliseconds it `took`. Throws a TaskFailed.
     */
    run(task, argument = {}, { now = START, ...given } = {}) {
      const { error, ...rest } = run(task, [argument], given, new Date(now).getTime());
      if (error) throw new TaskFailed(error);
      return rest;
    },
  };
}

/** The imports of the runtime, handed over through a global. */
const fakeImports = {
  name: "fake-imports",
  setup(build) {
    build.onResolve({ filter: /^(brrr:worker|wasi:)/ }, ({ path }) => ({ path, namespace: "fake" }));
    build.onLoad({ filter: /.*/, namespace: "fake" }, ({ path }) => ({
      contents: `export default globalThis.fakeImports[${JSON.stringify(path.replace(/.*\/(.*)@.*/, "$1"))}]`,
    }));
  },
};

/** Bundles a module; gives a function that loads it anew over a host: `handler`, and the `context` that it is in. */
export async function loadBundle(module) {
  const path = module instanceof URL || String(module).startsWith("file:") ? fileURLToPath(module) : module;
  const { source } = await bundle(path, { plugins: [fakeImports], external: [], format: "iife", globalName: "component" });
  const script = new vm.Script(source, { filename: "bundle.js" });
  return (host) => {
    const context = vm.createContext({ fakeImports: host.imports(), Uint8Array, atob, btoa, unixTime: () => host.unixTime() });
    vm.runInContext(WORLD, context);
    script.runInContext(context);
    return { handler: context.component.handler, context };
  };
}

/** What a component's world has: symbols that older Nodes define for their own world only, and the host's clock. */
const WORLD = `
  for (const name of ["dispose", "asyncDispose"]) Symbol[name] ?? Object.defineProperty(Symbol, name, { value: Symbol(name) });
  Date = class extends Date { constructor(...args) { super(...(args.length === 0 ? [unixTime()] : args)); } static now() { return Math.floor(unixTime()); } };
`;

/**
 * A host of which nothing takes time. `answer(call, now)` gives an outcome, with `after` if it is there only so many
 * milliseconds after the call was first asked for, or nothing if it never is.
 */
export class TestHost {
  polls = [];
  /** Did it have to wait for what never comes? What `handle` gives then means nothing. */
  suspended = false;
  lines = [];
  nanoseconds = 0;
  stopsAt = 10e9;
  /** Of calls that were asked for, by what they are: the outcome and the time at which it is there. */
  #known = new Map();
  /** Milliseconds that a poll for progress waits for more: it doubles. */
  #patience = 1000;

  constructor(answer, start = START) {
    this.answer = answer;
    this.start = start;
  }

  unixTime() {
    return this.start + this.nanoseconds / 1e6;
  }

  imports() {
    const refuse = () => {
      throw new Error("a test sends no requests: put fetch into a leaf task, and say in `children` what that gives");
    };
    const noRequests = new Proxy({}, { get: () => this.#guarded(refuse) });
    return {
      tasks: { poll: (calls, want, until) => this.#guarded(() => this.poll(calls, want, until)) },
      log: { write: (level, message, fields) => void this.lines.push({ level, message, fields: Object.fromEntries(fields) }) },
      // A BigInt, as the runtime gives what is large.
      control: { timeLeftMs: () => BigInt(Math.max(0, Math.round((this.stopsAt - this.nanoseconds) / 1e6))) },
      "monotonic-clock": {
        now: () => this.nanoseconds,
        subscribeDuration: (duration) => ({ block: () => void (this.nanoseconds += Number(duration)) }),
      },
      "wall-clock": {
        now: () => ({ seconds: BigInt(Math.floor(this.unixTime() / 1000)), nanoseconds: Math.round((this.unixTime() % 1000) * 1e6) }),
      },
      random: { getRandomBytes: (length) => new Uint8Array(length).fill(128) },
      // A handler under test reads variables and files of its own machine nowhere.
      environment: { getEnvironment: () => [] },
      preopens: { getDirectories: () => [] },
      // Of wasi:http.
      types: noRequests,
      "outgoing-handler": noRequests,
    };
  }

  /** The handler must not take an error of the test for one of its own. */
  #guarded(action) {
    try {
      return action();
    } catch (error) {
      this.fault ??= error;
      throw error;
    }
  }

  poll(calls, want, until) {
    this.polls.push({ calls: Array.from(calls, shown), want: { ...want }, until });
    const now = this.unixTime();
    const known = Array.from(calls, (call) => this.#outcome(call, now));
    const times = known.map(({ at }) => Math.max(at, now));
    const order = times.map((_, i) => i).sort((a, b) => times[a] - times[b] || a - b);
    const nth = (n) => (n === 0 ? now : times[order[n - 1]]);
    const last = nth(calls.length);
    const failed = Math.min(...known.map(({ outcome }, i) => (outcome?.tag === "err" ? times[i] : Infinity)));
    let at = Math.min(last, failed);
    if (want.tag === "some") at = nth(want.val);
    if (want.tag === "progress" && nth(1) + this.#patience < at) {
      at = nth(1) + this.#patience;
      this.#patience *= 2;
    }
    const tooLate = until !== null && Number(until) < at;
    if (tooLate) at = Math.max(Number(until), now);
    if (at === Infinity) {
      this.suspended = true;
      throw new Error(`the handler waits for what never comes: ${this.polls.at(-1).calls.join(", ")}`);
    }
    this.nanoseconds = Math.max(this.nanoseconds, Math.round((at - this.start) * 1e6));
    const there = want.tag === "some" && !tooLate ? new Set(order.slice(0, want.val)) : new Set(order.filter((i) => times[i] <= at));
    return known.map(({ outcome }, i) => (there.has(i) ? outcome : null));
  }

  #outcome(call, now) {
    // Two that are alike are two jobs.
    if (isDetached(call)) return { outcome: this.answer(call, now), at: now };
    const key = `${call.topic} ${call.callHash} ${JSON.stringify(call.options)} ${call.task} ${Buffer.from(call.payload).toString("latin1")}`;
    const found = this.#known.get(key);
    if (found?.outcome) return found;
    const outcome = this.answer(call, found?.since ?? now);
    const entry = { outcome, since: found?.since ?? now, at: outcome ? (found?.since ?? now) + (outcome.after ?? 0) : Infinity };
    this.#known.set(key, entry);
    return entry;
  }
}

const isDetached = ({ options }) => Array.from(options).some(([key, value]) => key === "detached" && value === "true");

/** The one argument of a call; of a raw one the bytes. */
function argumentOf(payload) {
  try {
    return JSON.parse(text(payload))[0];
  } catch {
    return payload;
  }
}

/** A call as text: `price[{"item":"pear"}]`. */
const shown = ({ task, payload }) => (task === "brrr.promise" ? "the promise " : task) + text(payload);

export const text = (bytes) => Buffer.from(bytes).toString();
export const bytes = (string) => new Uint8Array(Buffer.from(string));
export const ok = (value) => ({ tag: "ok", val: bytes(JSON.stringify(value) ?? "null") });
const err = (val) => ({ tag: "err", val });
