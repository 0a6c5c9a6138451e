/** The core cases in Deno and Bun. A runtime that npm could not install is skipped, and said so. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { HERE } from "./host.ts";
import { Places } from "./places.ts";
import { cases } from "./core.ts";
import type { Outcome } from "./report.ts";
import { ENV, runtimes } from "./runtimes.ts";

const MAIN = join(HERE, "build/test/main.js");
const IMPORTS = join(HERE, "build/imports.json");

let places: Places;

before(async () => {
  places = await Places.start();
  await writeFile(IMPORTS, JSON.stringify({ imports: { "brrr-client": "../dist/index.js" } }));
});
after(() => places?.stop());

const FLAGS = { Deno: [`--import-map=${IMPORTS}`, "--allow-net=127.0.0.1"], Bun: [] };

for (const runtime of await runtimes()) {
  const { name, skip } = runtime;
  test(name, { skip, timeout: 300_000 }, async (context) => {
    const child = spawn(runtime.program, [...runtime.run, ...FLAGS[name], MAIN, JSON.stringify(places.place)], {
      env: ENV,
      stdio: ["ignore", "pipe", "inherit"],
    });
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
