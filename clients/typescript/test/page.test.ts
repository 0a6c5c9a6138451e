/** The README's examples: each is type-checked in strict mode and run, and prints what its comments say. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { HERE, Host } from "./host.ts";

const run = promisify(execFile);

/** Within the package, so that `brrr-client` is this one. */
const FOLDER = join(HERE, "build/page");
/** What the page leaves out, as its first example has it. */
const PRELUDE = 'import { Client } from "brrr-client";\nconst client = new Client("http://localhost:8080");\n';
/** The conformance guest has no shop. */
const TASK = ['"purchase", { item: "lamp" }', '"asks", { name: "approval", limit: 0 }'] as const;

const README = await readFile(join(HERE, "README.md"), "utf8");
const EXAMPLES = [...README.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code = ""], i) => ({
  code: code.includes("new Client(") ? code : PRELUDE + code,
  file: `example${i + 1}`,
  title:
    README.slice(0, README.indexOf(code))
      .match(/^#+ .*$/gm)
      ?.at(-1) ?? "",
}));

let host: Host;

before(async () => {
  host = await Host.start([], { token: false });
  await rm(FOLDER, { recursive: true, force: true });
  await mkdir(FOLDER, { recursive: true });
  for (const { file, code } of EXAMPLES) {
    const changed = code.replace("http://localhost:8080", host.url).replace(...TASK);
    await writeFile(join(FOLDER, `${file}.ts`), changed);
  }
  const compilerOptions = { noEmit: false, noUnusedLocals: false, rootDir: ".", outDir: ".", types: ["node"] };
  await writeFile(
    join(FOLDER, "tsconfig.json"),
    JSON.stringify({ extends: "../../tsconfig.json", compilerOptions, include: ["*.ts"], exclude: [] }),
  );
  await run(process.execPath, [join(HERE, "node_modules/typescript/bin/tsc"), "-p", FOLDER]).catch(
    (error: { stdout: string }) => {
      throw new Error(error.stdout);
    },
  );
});
after(() => host?.stop());

test("there are examples", () => assert.ok(EXAMPLES.length >= 6, `${EXAMPLES.length} examples`));

for (const { title, code, file } of EXAMPLES) {
  test(`README, ${title}`, { timeout: 60_000 }, async () => {
    const expected = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, text]) => text);
    assert.ok(expected.length > 0, "it says what it prints");
    const { stdout } = await run(process.execPath, [join(FOLDER, `${file}.js`)]);
    assert.deepEqual(stdout.trimEnd().split("\n"), expected);
  });
}
