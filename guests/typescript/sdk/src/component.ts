/** The component's exports: `brrr:worker/handler`, on top of the WIT imports. */
import control from "brrr:worker/control@0.2.0";
import log from "brrr:worker/log@0.2.0";
import tasks from "brrr:worker/tasks@0.2.0";
import clock from "wasi:clocks/monotonic-clock@0.2.12";
import wallClock from "wasi:clocks/wall-clock@0.2.12";
import random from "wasi:random/random@0.2.12";
import { wellFormed } from "./bytes.ts";
import { setHost, type Request } from "./host.ts";
import { handlers } from "./handler.ts";
import { runJobs } from "./promise.ts";
import { describe, handle } from "./serve.ts";

const NANOSECONDS = 1e6; // a millisecond, the unit of JavaScript, in that of WASI

if (handlers().length === 0) throw new Error('the module has no handlers: make one with handler("name", function)');
// What modules began while they were loaded goes on until it has to wait; nothing of it can go on in a run.
runJobs();

export const handler = {
  describe() {
    connect();
    return describe();
  },
  handle(request: Request) {
    connect();
    return handle(request);
  },
};

const timer = (ms: number) => clock.subscribeDuration(Math.round(ms * NANOSECONDS));

/** Only now: while the component is being built its imports are there but may not be called. */
function connect(): void {
  setHost({
    poll: tasks.poll,
    log: (level, message, fields) => log.write(level, wellFormed(message), fields.map(([name, value]) => [wellFormed(name), wellFormed(value)])),
    // These are BigInts where they are large.
    timeLeftMs: () => Number(control.timeLeftMs()),
    now: () => Number(clock.now()) / NANOSECONDS,
    unixTime: () => {
      const { seconds, nanoseconds } = wallClock.now();
      return Number(seconds) * 1000 + nanoseconds / NANOSECONDS;
    },
    sleep: (ms) => timer(ms).block(),
    timer,
    randomBytes: random.getRandomBytes,
  });
}
