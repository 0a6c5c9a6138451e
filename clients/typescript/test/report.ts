/** Runs the core cases in another runtime. Each outcome is a line for the test that started it (runtimes.test.ts). */
import { cases, type Place } from "./core.ts";

export interface Outcome {
  readonly name: string;
  /** Why it failed; `null` if it did not. */
  readonly failure: string | null;
}

export async function report(place: Place, tell: (outcome: Outcome) => void): Promise<void> {
  for (const { name, run } of cases) {
    const failure = await run(place).then(
      () => null,
      (error: unknown) => (error instanceof Error ? `${error.stack ?? String(error)}${cause(error)}` : String(error)),
    );
    tell({ name, failure });
  }
}

function cause(error: Error): string {
  return error.cause === undefined ? "" : `\ncaused by ${error.cause instanceof Error ? error.cause.stack : String(error.cause)}`;
}
