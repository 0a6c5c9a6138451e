/**
 * Runs a component's bundle outside a component: the very code that is compiled, in a fresh JavaScript world of its own
 * (the bundle replaces that world's Promise), with a fake host behind the WIT imports.
 */
import vm from "node:vm";
import { fileURLToPath } from "node:url";
import { bundle } from "../bin/bundle.mjs";

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

/** Bundles a module of this folder; gives a function that loads it anew, with a fake host. */
export async function load(module) {
  const { source } = await bundle(fileURLToPath(new URL(module, import.meta.url)), {
    plugins: [fakeImports],
    external: [],
    format: "iife",
    globalName: "component",
  });
  const script = new vm.Script(source, { filename: "bundle.js" });
  return (answer) => {
    const host = new FakeHost(answer);
    const context = vm.createContext({ fakeImports: host.imports(), Uint8Array });
    // Older Nodes define them for their own world only.
    vm.runInContext('for (const name of ["dispose", "asyncDispose"]) Symbol[name] ?? Object.defineProperty(Symbol, name, { value: Symbol(name) })', context);
    script.runInContext(context);
    return { host, handler: context.component.handler, context };
  };
}

class FakeHost {
  polls = [];
  /** Did a poll ask for more than there is? What `handle` gives then means nothing. */
  suspended = false;
  log = [];
  nanoseconds = 0;
  stopsAt = 10e9;

  constructor(answer) {
    this.answer = answer;
  }

  imports() {
    return {
      tasks: { poll: (calls, need) => this.poll(calls, need) },
      log: { write: (level, message) => void this.log.push([level, message]) },
      // A BigInt, as the runtime gives what is large.
      control: { timeLeftMs: () => BigInt(Math.max(0, Math.round((this.stopsAt - this.nanoseconds) / 1e6))) },
      "monotonic-clock": {
        now: () => this.nanoseconds,
        subscribeDuration: (duration) => ({ block: () => void (this.nanoseconds += duration) }),
      },
      random: { getRandomBytes: (length) => new Uint8Array(length).fill(128) },
    };
  }

  poll(calls, need) {
    // Array.from: the guest's lists are of its own world, and never equal to this one's.
    this.polls.push({ calls: Array.from(calls, ({ task, payload }) => task + text(payload)), need });
    const outcomes = Array.from(calls, (call) => this.answer(call));
    let wanted = need ?? calls.length;
    if (outcomes.filter(Boolean).length < wanted) {
      this.suspended = true;
      throw new Error("a host would drop the instance here");
    }
    return outcomes.map((outcome) => (outcome && wanted-- > 0 ? outcome : null));
  }

  /** The argument `i` of each call, batch by batch. */
  batches() {
    return this.polls.map(({ calls }) => calls.map((call) => JSON.parse(call.slice(call.indexOf("[")))[0].i));
  }
}

export const text = (bytes) => Buffer.from(bytes).toString();
export const bytes = (string) => new Uint8Array(Buffer.from(string));
export const ok = (value) => ({ tag: "ok", val: bytes(JSON.stringify(value)) });
export const failure = { kind: "error", task: "bad", message: "boom", attempts: 1, chain: ["bad: boom"] };

/** Every call gives its own argument `i` back; the task `bad` fails. */
export function echo({ task, payload }) {
  return task === "bad" ? { tag: "err", val: failure } : ok(JSON.parse(text(payload))[0]?.i ?? null);
}

/** Runs a task: its result, or the error it was refused with. */
export function run(handler, task, payload = "[{}]") {
  const request = { task, payload: bytes(payload), callHash: "h", rootId: "r", topic: "t", attempt: 1, deadlineMs: null };
  try {
    const result = text(handler.handle(request));
    return { result: result === "" ? undefined : JSON.parse(result) };
  } catch (error) {
    // Through JSON: the objects come from another world, whose prototypes are not this one's.
    return { error: JSON.parse(JSON.stringify(error)) };
  }
}
