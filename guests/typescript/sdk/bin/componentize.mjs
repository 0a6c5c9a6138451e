import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { componentize as componentizeQjs } from "componentize-qjs";
import { SDK } from "./bundle.mjs";

/** Where worker.wit is: packed with the SDK, or in the repository that the SDK is part of. */
const WIT_FOLDERS = [join(SDK, "wit/worker"), resolve(SDK, "../../../wit")];

/** The worlds of wit/guest.wit that a bundle may need besides `guest`, each named after a package of WASI. */
const WORLDS = ["http", "cli", "filesystem"];

/** A component (its bytes) of a bundle's source, which imports those modules of the host. */
export async function componentize(source, imports, witFolder) {
  const used = WORLDS.filter((name) => imports.some((path) => path.startsWith(`wasi:${name}/`)));
  const names = used.includes("http") ? DISGUISED : PLAIN;
  const wit = worldFolder(used, names, witFolder);
  try {
    const jsSource = names.hide(source);
    // The runtime without component-model async: `handle` is a synchronous export, and it instantiates faster.
    const { component } = await componentizeQjs({ witPath: wit, world: "bundle", jsSource, sync: true });
    return names.show(component);
  } finally {
    rmSync(wit, { recursive: true });
  }
}

const PLAIN = { hide: (text) => text, show: (component) => component };

/**
 * componentize-qjs runs the module once, with WASI's own packages behind it and traps behind all others, so wasi:http,
 * which it doesn't know, would have streams of another type than wasi:io. Until it has done, all of WASI that the SDK
 * imports is therefore called something else, of the same length. It comes back one version lower: the engine's own
 * imports have the other one, and no two may have one name.
 */
const DISGUISED = {
  hide: (text) => text.replaceAll(/wasi:([a-z/-]+)@0\.2\.12/g, "w4si:$1@0.2.11"),
  show: (component) => Buffer.from(component.toString("latin1").replaceAll("w4si:", "wasi:"), "latin1"),
};

/** A folder with the world of a bundle: what it doesn't use it shall neither import nor pay for. */
function worldFolder(used, names, witFolder) {
  const worker = [witFolder, ...WIT_FOLDERS].find((folder) => folder && existsSync(join(folder, "worker.wit")));
  if (!worker) throw new Error("worker.wit not found; name its folder with --wit");
  const folder = mkdtempSync(join(tmpdir(), "brrr-wit-"));
  cpSync(join(SDK, "wit"), folder, { recursive: true });
  mkdirSync(join(folder, "deps/worker"));
  cpSync(join(worker, "worker.wit"), join(folder, "deps/worker/worker.wit"));
  const world = ["guest", ...used].map((name) => `  include ${name};\n`).join("");
  writeFileSync(join(folder, "bundle.wit"), `package brrr:typescript;\n\nworld bundle {\n${world}}\n`);
  for (const file of readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".wit"))) {
    const path = join(folder, file);
    writeFileSync(path, names.hide(readFileSync(path, "utf8")));
  }
  return folder;
}
