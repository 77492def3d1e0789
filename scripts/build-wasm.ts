// Compiles the inflate core (AssemblyScript) and writes it as a module that carries its own bytes:
// so it is found alike from source and in the compiled binary, without any file access.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const ROOT = join(import.meta.dir, "..");
const SOURCES = ["layout.ts", "status.ts", "meanings.ts", "huffman.ts", "inflate.ts"].map((name) =>
  join(ROOT, "src/deflate/assembly", name),
);
const TARGET = join(ROOT, "src/deflate/generated/inflate-wasm.ts");

/** Builds src/deflate/generated/inflate-wasm.ts when a source is newer. Returns whether it did. */
export async function buildWasm(): Promise<boolean> {
  if (!isStale()) return false;
  const directory = mkdtempSync(join(tmpdir(), "sociable-wasm-"));
  try {
    const wasm = join(directory, "inflate.wasm");
    // By its program: the types of its module declare a global console that hides Bun's.
    const asc = join(ROOT, "node_modules/assemblyscript/bin/asc.js");
    const { exitCode, stderr } = Bun.spawnSync(
      [
        process.execPath,
        asc,
        ...SOURCES.slice(-1),
        "--outFile",
        wasm,
        "-O3",
        "--runtime",
        "stub",
        "--noAssert",
        ...["--enable", "simd", "--enable", "bulk-memory"],
        ...["--initialMemory", "8", "--maximumMemory", "8"],
      ],
      { stdout: "ignore", stderr: "pipe" },
    );
    if (exitCode !== 0) throw new Error(`Cannot compile the inflate core: ${stderr.toString()}`);
    const base64 = readFileSync(wasm).toString("base64");
    mkdirSync(dirname(TARGET), { recursive: true });
    writeFileSync(
      TARGET,
      `// Made by scripts/build-wasm.ts from src/deflate/assembly. Not in git.\nexport const INFLATE_WASM =\n  "${base64}";\n`,
    );
    return true;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function isStale(): boolean {
  const built = statSync(TARGET, { throwIfNoEntry: false });
  if (built === undefined) return true;
  return [...SOURCES, import.meta.path].some((source) => statSync(source).mtimeMs > built.mtimeMs);
}

if (import.meta.main) {
  const built = await buildWasm();
  console.error(built ? "Built the inflate core" : "The inflate core is up to date");
}
