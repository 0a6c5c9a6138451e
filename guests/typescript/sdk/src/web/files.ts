/** Files in the folders that the worker opens to its handlers (`run --dir HOST_PATH::GUEST_PATH`). */
import preopens from "wasi:filesystem/preopens@0.2.12";
import { decodeUtf8, encodeUtf8, joined, wellFormed } from "../bytes.ts";
import { requireRun } from "../host.ts";
import { payload, type Descriptor } from "./wasi.ts";

/** Bytes that are read or written at once. */
const CHUNK = 256 << 10;

const NO_FLAGS = { fileIntegritySync: false, dataIntegritySync: false, requestedWriteSync: false, mutateDirectory: false };

/** The bytes of a file. Throws an Error that names the path. */
export function readFile(path: string): Uint8Array {
  return using(path, {}, (file) => {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      const [chunk, end] = file.read(CHUNK, length);
      chunks.push(chunk);
      length += chunk.length;
      if (end) return joined(chunks);
    }
  });
}

/** The text of a UTF-8 file. */
export function readTextFile(path: string): string {
  return decodeUtf8(readFile(path));
}

/** Writes a file, in place of the one that is there. */
export function writeFile(path: string, data: string | Uint8Array): void {
  const bytes = typeof data === "string" ? encodeUtf8(data) : data;
  using(path, { create: true, truncate: true, write: true }, (file) => {
    for (let at = 0; at < bytes.length; ) at += Number(file.write(bytes.subarray(at, at + CHUNK), at));
  });
}

/** The names of what is in a folder, sorted. */
export function readDir(path: string): string[] {
  return using(path, { directory: true }, (folder) => {
    const names: string[] = [];
    const entries = folder.readDirectory();
    for (let entry; (entry = entries.readDirectoryEntry()) !== null; ) names.push(entry.name);
    entries[Symbol.dispose]();
    return names.sort();
  });
}

function using<T>(asked: string, how: { create?: true; truncate?: true; directory?: true; write?: true }, use: (opened: Descriptor) => T): T {
  const { create = false, truncate = false, directory = false, write = false } = how;
  requireRun("a file");
  const path = wellFormed(asked);
  const [folder, rest] = place(path);
  try {
    const opened = folder.openAt(
      { symlinkFollow: true },
      rest,
      { create, truncate, directory, exclusive: false },
      { ...NO_FLAGS, read: !write, write },
    );
    try {
      return use(opened);
    } finally {
      opened[Symbol.dispose]();
    }
  } catch (error) {
    const code = payload(error);
    if (typeof code !== "string") throw error;
    throw Object.assign(new Error(`${path}: ${MEANINGS[code] ?? code.replaceAll("-", " ")}`), { code });
  }
}

/** WASI's `error-code` where its name doesn't say it. */
const MEANINGS: Record<string, string> = {
  access: "permission denied",
  // WASI's answer to reading a folder.
  "bad-descriptor": "it is a folder",
  "no-entry": "no such file or folder",
  "not-permitted": "not permitted: it is outside of what --dir opens, or only to be read",
  "read-only": "only to be read",
};

/** The open folder that holds `path`, the longest that does, and the path in there. */
function place(path: string): [folder: Descriptor, rest: string] {
  const wanted = parts(path);
  const holding = preopens
    .getDirectories()
    .map(([folder, name]) => ({ folder, name: parts(name) }))
    .filter(({ name }) => name.every((part, i) => part === wanted[i]))
    .sort((a, b) => b.name.length - a.name.length)[0];
  if (!holding) throw new Error(`${path}: not allowed: --dir HOST_PATH::/${wanted.slice(0, -1).join("/")}`);
  return [holding.folder, wanted.slice(holding.name.length).join("/") || "."];
}

function parts(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
