/** Deno and Bun, where npm could install them (scripts/setup/js_runtimes.sh). */
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { HERE } from "./host.ts";

export interface Runtime {
  readonly name: "Deno" | "Bun";
  readonly program: string;
  /** The arguments that run a program. */
  readonly run: readonly string[];
  /** Why tests skip it. */
  readonly skip: string | false;
}

/** Caches in the build folder; no look for newer versions. */
export const ENV = { ...process.env, DENO_DIR: join(HERE, "build/deno"), DENO_NO_UPDATE_CHECK: "1", DO_NOT_TRACK: "1" };

const MODULES = join(HERE, "test/runtimes/node_modules");

/** Both. One that can't be run here is to be skipped; it is told now. */
export async function runtimes(): Promise<Runtime[]> {
  const found = [
    { name: "Deno", program: await find("@deno", "deno"), run: ["run", "--no-config", "--no-lock"] },
    { name: "Bun", program: await find("@oven", "bin/bun"), run: ["run"] },
  ] as const;
  return found.map(({ name, program, run }) => {
    const skip = program === undefined && `${name} is not installed: see scripts/setup/js_runtimes.sh`;
    if (skip) console.warn(`SKIPPED: ${skip}`);
    return { name, program: program ?? "", run, skip };
  });
}

/** A program in one of the packages of a scope, each of which is for another platform: the one that runs here. */
async function find(scope: string, binary: string): Promise<string | undefined> {
  for (const platform of await readdir(join(MODULES, scope)).catch(() => [])) {
    const program = join(MODULES, scope, platform, binary);
    if (await promisify(execFile)(program, ["--version"]).catch(() => undefined)) return program;
  }
  return undefined;
}
