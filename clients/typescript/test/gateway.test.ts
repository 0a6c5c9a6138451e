/** The client beside a gateway that is stopped and started again, and with a store that other commands change. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client, ConflictError, ForgottenError, NotFoundError, UnauthorizedError, type JobEvent } from "brrr-client";
import { all } from "./assert.ts";
import { HERE, Host } from "./host.ts";

async function start(context: TestContext): Promise<{ host: Host; client: Client }> {
  const host = await Host.start();
  context.after(() => host.stop());
  return { host, client: new Client(host.url, { token: host.token, requestRetries: 20 }) };
}

test("a wait and a loop over events outlast a gateway that is killed", { timeout: 120_000 }, async (context) => {
  const { host, client } = await start(context);
  const job = await client.start<string>("demo", "asks", { name: "go", limit: 0 });
  const events: JobEvent[] = [];
  let waiting!: () => void;
  const deferred = new Promise<void>((resolve) => (waiting = resolve));
  const following = (async () => {
    for await (const event of job.events()) {
      events.push(event);
      if (event.to === "deferred") waiting();
    }
  })();
  const result = job.result({ timeout: "90s" });
  await deferred;
  const { host: address } = new URL(host.url);
  await host.halt("SIGKILL");
  await host.run(address);
  await client.promise(job, "go").resolve("gone");
  assert.equal(await result, "gone");
  await following;
  assert.equal(new Set(events.map(({ id }) => id)).size, events.length);
  // What a reader gets that comes later.
  assert.deepEqual(events, await all(job.events()));
});

test("a start while the gateway is away", { timeout: 120_000 }, async (context) => {
  const { host, client } = await start(context);
  const { host: address } = new URL(host.url);
  await host.halt();
  const starting = client.start<number>("demo", "leaf", { i: 3 });
  await host.run(address);
  const job = await starting;
  assert.equal(await job.result({ timeout: "30s" }), 3);
  assert.deepEqual(
    (await all(client.jobs())).map(({ id }) => id),
    [job.id],
  );
});

test("a result that was removed from the store", { timeout: 60_000 }, async (context) => {
  const { host, client } = await start(context);
  const job = await client.start<number>("demo", "fib", { n: 3 });
  assert.equal(await job.result({ timeout: "30s" }), 2);
  await host.command("forget", "fib", '{"n": 3}');
  await assert.rejects(
    job.result(),
    (error) => error instanceof ForgottenError && error.name === "forgotten" && error.status === 410,
  );
  const status = await job.status();
  assert.deepEqual([status.state, status.forgotten, "result" in status], ["completed", true, false]);
});

test("dead letters are shown, sent again and removed", { timeout: 60_000 }, async (context) => {
  const host = await Host.prepare();
  context.after(() => host.stop());
  const ids: string[] = [];
  for (const n of [4, 5]) {
    const out = await host.command("schedule", "--topic", "demo", "--output", "json", "fib", JSON.stringify({ n }));
    ids.push((JSON.parse(out) as { job: string }).job);
  }
  // Nothing that a client does makes a dead letter. Damaged records do.
  const damage =
    "import sqlite3; c = sqlite3.connect('.brrr/state.db'); c.execute(\"UPDATE record SET value = x'00' WHERE kind = 'job'\"); c.commit()";
  await promisify(execFile)("python3", ["-c", damage], { cwd: host.folder });
  await host.run();
  const client = new Client(host.url, { token: host.token });
  let letters = await client.deadLetters("demo");
  while (letters.length < 2) letters = await client.deadLetters("demo");
  assert.deepEqual(letters.map(({ job }) => job).sort(), [...ids].sort());
  const [first, second] = letters;
  assert.ok(first && second && first.at instanceof Date && first.reason !== "");
  assert.equal((await client.deadLetters("demo", { limit: 1 })).length, 1);
  assert.deepEqual([first.topic, first.task, typeof first.body], ["demo", "fib", "string"]);
  const again = await client.sendDeadLetter("demo", first.id);
  assert.ok(again, "a new job");
  assert.equal(await again.result({ timeout: "30s" }), first.job === ids[0] ? 3 : 5);
  await client.deleteDeadLetter("demo", second.id);
  assert.deepEqual(await client.deadLetters("demo"), []);
});

test("code is uploaded and pushed by who has the push token", { timeout: 120_000 }, async (context) => {
  const host = await Host.prepare(["--push-token-file", "push-token"]);
  context.after(() => host.stop());
  const token = randomBytes(24).toString("hex");
  await writeFile(join(host.folder, "push-token"), token, { mode: 0o600 });
  await host.run();
  const bytes = new Uint8Array(await readFile(join(HERE, "../../build/guests/rust/rust-hello.wasm")));
  const ordinary = new Client(host.url, { token: host.token, requestTimeout: "2m" });
  await assert.rejects(ordinary.upload(bytes), UnauthorizedError);
  const client = new Client(host.url, { token, requestTimeout: "2m" });
  const uploaded = await client.upload(bytes);
  assert.deepEqual([uploaded.tasks, uploaded.newChunks], [["fib", "hello"], uploaded.chunks]);
  assert.equal((await client.upload(bytes)).newBytes, 0);
  assert.deepEqual((await ordinary.component(uploaded.digest)).tasks, uploaded.tasks);
  await assert.rejects(ordinary.component(`sha256:${"ab".repeat(32)}`), NotFoundError);
  await assert.rejects(ordinary.start("demo", `hello@${uploaded.digest}`, { greetee: "a" }), ConflictError);
  const revisions = client.deployments("demo");
  const pushed = await revisions.push([uploaded.digest], { note: "first", wait: "0s" });
  assert.deepEqual([pushed.revision, pushed.percent, pushed.new], [1, 100, true]);
  assert.equal((await revisions.push([uploaded.digest], { percent: 20 })).revision, 2);
  assert.equal((await revisions.ramp(2, 50)).percent, 50);
  assert.equal((await revisions.rollback(1, { note: "back" })).restores, 1);
  await revisions.remove(2);
  const left = await ordinary.deployments("demo").list();
  assert.deepEqual(left.map((each) => [each.revision, each.percent, each.from instanceof Date]), [[3, 100, true], [1, 100, true]]);
  await assert.rejects(ordinary.deployments("demo").remove(3), UnauthorizedError);
});
