import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { componentize as componentizeQjs } from "componentize-qjs";
import { SDK } from "./bundle.mjs";

/** Where worker.wit is: packed with the SDK, or in the repository that the SDK is part of. */
const WIT_FOLDERS = [join(SDK, "wit/worker"), resolve(SDK, "../../../wit")];

/** A component (its bytes) of a bundle's source. */
export async function componentize(source, witFolder) {
  const wit = worldFolder(witFolder);
  try {
    // The runtime without component-model async: `handle` is a synchronous export, and it instantiates faster.
    const { component } = await componentizeQjs({ witPath: wit, world: "guest", jsSource: source, sync: true });
    return component;
  } finally {
    rmSync(wit, { recursive: true });
  }
}

/** A folder with the SDK's world and, among its dependencies, the host's. */
function worldFolder(witFolder) {
  const worker = [witFolder, ...WIT_FOLDERS].find((folder) => folder && existsSync(join(folder, "worker.wit")));
  if (!worker) throw new Error("worker.wit not found; name its folder with --wit");
  const folder = mkdtempSync(join(tmpdir(), "brrr-wit-"));
  cpSync(join(SDK, "wit"), folder, { recursive: true });
  mkdirSync(join(folder, "deps/worker"));
  cpSync(join(worker, "worker.wit"), join(folder, "deps/worker/worker.wit"));
  return folder;
}
