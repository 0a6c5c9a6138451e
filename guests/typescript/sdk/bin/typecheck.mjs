import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { SDK } from "./bundle.mjs";

const require = createRequire(import.meta.url);

/** Type-checks the module `entry` strictly, by the project's own tsconfig.json where there is one beside it. */
export function typeCheck(entry) {
  const project = join(dirname(entry), "tsconfig.json");
  const config = {
    extends: existsSync(project) ? project : join(SDK, "tsconfig.guest.json"),
    compilerOptions: { noEmit: true, paths: { brrr: [join(SDK, "src/index.ts")] } },
    files: [entry],
    include: [],
  };
  // Beside the SDK, not in the project: a build writes nothing there but its output.
  const folder = mkdtempSync(join(SDK, ".check-"));
  try {
    const file = join(folder, "tsconfig.json");
    writeFileSync(file, JSON.stringify(config));
    const tsc = resolve(dirname(require.resolve("typescript/package.json")), "bin/tsc");
    const { status, error } = spawnSync(process.execPath, [tsc, "--noEmit", "-p", file], { stdio: ["ignore", 2, 2] });
    if (error) throw error;
    if (status !== 0) throw new Error(`${entry} has type errors (see above)`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
