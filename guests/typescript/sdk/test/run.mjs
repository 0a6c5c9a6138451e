/** Runs a component's bundle over the host of testing.mjs, and gives what it did in a form that tests compare. */
import { bytes, loadBundle, ok, TestHost, text } from "../testing.mjs";

export { bytes, ok, text };

/** Bundles a module of this folder; gives a function that loads it anew, over a host with those answers. */
export async function load(module) {
  const start = await loadBundle(new URL(module, import.meta.url));
  return (answer) => {
    const host = new Recording(answer);
    return { host, ...start(host) };
  };
}

class Recording extends TestHost {
  /** Level and message of each line, and its fields if it has some. */
  get log() {
    return this.lines.map(({ level, message, fields }) => [level, message, ...(Object.keys(fields).length > 0 ? [fields] : [])]);
  }

  /** The argument `i` of each call, poll by poll. */
  batches() {
    const argument = (call) => (call.startsWith("the promise") ? call : JSON.parse(call.slice(call.indexOf("[")))[0].i);
    return this.polls.map(({ calls }) => calls.map(argument));
  }

  /** The wish of each poll, in one word: `all`, `some 1`, `progress`. */
  wishes() {
    return this.polls.map(({ want: { tag, val } }) => (tag === "some" ? `some ${val}` : tag));
  }

  /** Of each poll, by when it returns in any case: milliseconds from the handler's start. */
  untils() {
    return this.polls.map(({ until }) => (until === null ? null : until - this.start));
  }
}

export const failure = { kind: "error", task: "bad", message: "boom", attempts: 1, chain: ["bad: boom"], details: null };

/** Every call gives its own argument `i` back, if it has one `ms`, after so long; the task `bad` fails. */
export function echo({ task, payload }) {
  const argument = task === "brrr.promise" ? {} : JSON.parse(text(payload))[0];
  const outcome = task === "bad" ? { tag: "err", val: failure } : ok(argument?.i ?? null);
  return argument?.ms ? { ...outcome, after: argument.ms } : outcome;
}

/** Runs a task: its result, or the error it was refused with, whose details are shown as JSON. */
export function run(handler, task, payload = "[{}]") {
  const request = { task, payload: bytes(payload), callHash: "h", jobId: "r", topic: "t", attempt: 1, deadlineMs: null };
  try {
    const result = text(handler.handle(request));
    return { result: result === "" ? undefined : JSON.parse(result) };
  } catch (error) {
    if (error.tag === undefined) throw error;
    // Through JSON: the objects come from another world, whose prototypes are not this one's.
    return { error: JSON.parse(JSON.stringify(error, (key, value) => (key === "details" && value ? JSON.parse(text(value)) : value))) };
  }
}
