/** The package as npm makes it: what is in it, that it can be imported, and its types as users' compilers see them. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { HERE } from "./host.ts";
import { ENV, runtimes } from "./runtimes.ts";

const run = promisify(execFile);
const TSC = join(HERE, "node_modules/typescript/bin/tsc");

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "brrr-package-"));
  // `--ignore-scripts`: dist is built, and other tests are using it.
  await run("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], { cwd: HERE });
  const [archive = ""] = await readdir(folder);
  await writeFile(join(folder, "package.json"), '{"private": true, "type": "module"}');
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", `./${archive}`], { cwd: folder });
});
after(() => rm(folder, { recursive: true, force: true }));

test("the package holds the built client, its types and the README, and needs no other package", async () => {
  const installed = join(folder, "node_modules");
  assert.deepEqual(
    (await readdir(installed)).filter((name) => !name.startsWith(".")),
    ["brrr-client"],
  );
  assert.deepEqual((await readdir(join(installed, "brrr-client"))).sort(), ["LICENSE", "README.md", "dist", "package.json"]);
  const built = await readdir(join(installed, "brrr-client/dist"));
  assert.ok(built.includes("index.js") && built.includes("index.d.ts"));
  assert.ok(
    built.every((name) => /\.(js|d\.ts)$/.test(name)),
    built.join(" "),
  );
});

const [DENO, BUN] = await runtimes();
const NODE_ITSELF = { name: "Node", program: process.execPath, run: [], skip: false } as const;

for (const { name, program, run: flags, skip } of [NODE_ITSELF, DENO, BUN].flatMap((runtime) => runtime ?? [])) {
  test(`${name} imports it by its name`, { skip }, async () => {
    const code =
      'import { Client, JobFailedError } from "brrr-client"; console.log(typeof Client, new JobFailedError("a", {}).name)';
    await writeFile(join(folder, "main.mjs"), code);
    const { stdout } = await run(program, [...flags.filter((flag) => flag !== "--no-config"), "main.mjs"], {
      cwd: folder,
      env: ENV,
    });
    assert.equal(stdout, "function JobFailedError\n");
  });
}

const USER = `
import { Client, JobFailedError, type Duration, type Job, type JobEvent, type KnownJob } from "brrr-client";

interface Fib { n: number; salt?: string }
const input: Fib = { n: 30 };
const none: string | undefined = undefined;
const client = new Client("http://localhost:8080", { token: none, fetch });
export const job: KnownJob<number> = await client.start<number>("demo", "fib", input, { key: none, delay: "5m", timeout: { ms: 5 }, scope: "1h 30m" });
export const value: number = await job.result({ timeout: "30s", signal: AbortSignal.timeout(1000) });
export const created: Date = job.latest.created;
export const any: Job = client.job("id");
export const events: AsyncIterable<JobEvent> = any.events();
for await (const { id, latest } of client.jobs({ state: "running", topic: none })) console.log(id, latest.state === "failed");
await client.promise(any, "approval").resolve({ ok: true });
await client.promise("id", "approval").resolve();
await client.schedule("demo", "nightly").put({ cron: "0 3 * * *", task: "fib", input, overlap: "skip", maxRetries: 3 });
await job.result().catch((error: unknown) => error instanceof JobFailedError && error.chain.map((line) => line.length));

// @ts-expect-error: a number without a unit
export const number: Duration = 500;
// @ts-expect-error: no unit
export const unit: Duration = "5";
// @ts-expect-error: no such state
client.jobs({ state: "done" });
// @ts-expect-error: a value of unknown type is no number
export const unknown: number = await client.job("id").result();
// @ts-expect-error: a job that was not asked for is not known
any.latest.state;
// @ts-expect-error: arguments have names
await client.start("demo", "fib", 30);
// @ts-expect-error: no such option
await client.start("demo", "fib", input, { retries: 3 });
`;

const BASE = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noEmit: true,
  skipLibCheck: false,
  target: "es2022",
};
const PROGRAM = { ...BASE, module: "nodenext", lib: ["es2022"], types: ["node"] };
const BROWSER = { ...BASE, module: "esnext", moduleResolution: "bundler", lib: ["es2022", "dom"], types: [] };

for (const [name, compilerOptions] of Object.entries({ "a program of Node": PROGRAM, "a bundled page": BROWSER })) {
  test(`the types, strictly, in ${name}`, { timeout: 120_000 }, async () => {
    const project = await mkdtemp(join(folder, "project-"));
    await mkdir(join(folder, "node_modules/@types"), { recursive: true });
    for (const types of ["@types/node", "undici-types"]) {
      await symlink(join(HERE, "node_modules", types), join(folder, "node_modules", types)).catch(() => {});
    }
    await writeFile(join(project, "user.ts"), USER);
    await writeFile(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["user.ts"] }));
    const { stdout } = await run(process.execPath, [TSC, "-p", project]).catch((error: { stdout: string }) => error);
    assert.equal(stdout, "");
  });
}

test("the types in Deno", { skip: DENO?.skip ?? true, timeout: 120_000 }, async () => {
  await writeFile(join(folder, "user.ts"), USER);
  await run(DENO?.program ?? "", ["check", "user.ts"], { cwd: folder, env: ENV }).catch((error: { stderr: string }) =>
    assert.equal(error.stderr, ""),
  );
});
