/** The core cases in Deno and Bun. A runtime that npm could not install is skipped, and said so. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { HERE } from "./host.ts";
import { Places } from "./places.ts";
import { cases } from "./core.ts";
import type { Outcome } from "./report.ts";

const MODULES = join(HERE, "test/runtimes/node_modules");
const MAIN = join(HERE, "build/test/main.js");
const IMPORTS = join(HERE, "build/imports.json");

let places: Places;

before(async () => {
  places = await Places.start();
  await writeFile(IMPORTS, JSON.stringify({ imports: { "brrr-client": "../dist/index.js" } }));
});
after(() => places?.stop());

const RUNTIMES = [
  { name: "Deno", scope: "@deno", binary: "deno", flags: ["run", "--no-config", "--no-lock", `--import-map=${IMPORTS}`, "--allow-net=127.0.0.1"] },
  { name: "Bun", scope: "@oven", binary: "bin/bun", flags: ["run"] },
];

for (const { name, scope, binary, flags } of RUNTIMES) {
  const program = await find(scope, binary);
  const skip = program === undefined && `${name} is not installed: see scripts/setup/js_runtimes.sh`;
  if (skip) console.warn(`SKIPPED: ${skip}`);
  test(name, { skip, timeout: 300_000 }, async (context) => {
    // Caches of its own.
    const env = { ...process.env, DENO_DIR: join(HERE, "build/deno"), DENO_NO_UPDATE_CHECK: "1", DO_NOT_TRACK: "1" };
    const child = spawn(program ?? "", [...flags, MAIN, JSON.stringify(places.place)], { env, stdio: ["ignore", "pipe", "inherit"] });
    const ended = new Promise((done) => child.once("exit", done));
    const cutBefore = [places.lossy.cuts, places.cutting.cuts] as const;
    let told = 0;
    for await (const line of createInterface(child.stdout)) {
      const { name: what, failure } = JSON.parse(line) as Outcome;
      told += 1;
      await context.test(what, () => assert.equal(failure, null, failure ?? ""));
    }
    assert.equal(await ended, 0);
    assert.equal(told, cases.length);
    assert.ok(places.lossy.cuts > cutBefore[0] && places.cutting.cuts >= cutBefore[1] + 3, "the proxies have cut connections");
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
