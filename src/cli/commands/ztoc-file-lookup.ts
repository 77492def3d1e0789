import { SociError } from "../../errors.ts";
import type { FileMetadata } from "../../ztoc/file-metadata.ts";

/** As many links as Linux follows, path_resolution(7). */
const MAX_LINKS = 40;

/**
 * The entry of a layer that a path leads to, never a link. The path is taken as a name in the tar as
 * it stands there, else as a path from the layer's root, however either is spelled (`x`, `./x`, `/x`).
 * Symbolic links on the way and at its end are followed inside the root, and hard links to the file
 * they name. Of several entries of one name the last counts, as when they are unpacked.
 * @throws not-found; failed-precondition when there are too many links
 */
export function findFile(files: readonly FileMetadata[], path: string): FileMetadata {
  return new FileLookup(files, path).find();
}

/** Where a path has led: an entry, if there is one, and the directory that its links start from. */
interface Place {
  readonly index: number | undefined;
  readonly directory: readonly string[];
}

/** Names are bytes, which are no text for certain: here each byte is one character. */
class FileLookup {
  readonly #files: readonly FileMetadata[];
  readonly #path: string;
  #linksLeft = MAX_LINKS;
  #indexByName: Map<string, number> | undefined;

  constructor(files: readonly FileMetadata[], path: string) {
    this.#files = files;
    this.#path = path;
  }

  find(): FileMetadata {
    const name = Buffer.from(this.#path).toString("latin1");
    const exact = this.#lastIndex((other) => other === name);
    let place: Place =
      exact === undefined
        ? this.#walk([], name)
        : { index: exact, directory: componentsOf(name).slice(0, -1) };
    for (;;) {
      const file = place.index === undefined ? undefined : this.#files[place.index];
      if (place.index === undefined || file === undefined) {
        throw new SociError(
          "not-found",
          `Cannot find ${JSON.stringify(this.#path)} in the layer: there is no such file`,
        );
      }
      if (file.type === "hardlink") {
        this.#countLink();
        // Where a symbolic link leads depends on the name it was reached by: this one's.
        place = {
          index: this.#hardLinkTarget(latin1(file.linkname), place.index),
          directory: place.directory,
        };
      } else if (file.type === "symlink") {
        this.#countLink();
        place = this.#walk(place.directory, latin1(file.linkname));
      } else {
        return file;
      }
    }
  }

  /** A hard link is to what had the name when it was unpacked; layers with later targets exist too. */
  #hardLinkTarget(name: string, before: number): number | undefined {
    const clean = componentsOf(name).join("/");
    return (
      this.#lastIndex((other) => other === name, before) ??
      this.#lastIndex((other) => componentsOf(other).join("/") === clean, before) ??
      this.#lastIndex((other) => other === name) ??
      this.#walk([], name).index
    );
  }

  /** Follows a path from a directory, and the symbolic links in it, but not one at its end. */
  #walk(from: readonly string[], path: string): Place {
    let at = path.startsWith("/") ? [] : [...from];
    const pending = partsOf(path).reverse();
    for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
      if (part === "..") {
        at.pop();
        continue;
      }
      const index = this.#table().get([...at, part].join("/"));
      const file = index === undefined ? undefined : this.#files[index];
      if (pending.length === 0 || file?.type !== "symlink") {
        at.push(part);
        continue;
      }
      this.#countLink();
      const target = latin1(file.linkname);
      if (target.startsWith("/")) at = [];
      pending.push(...partsOf(target).reverse());
    }
    return { index: this.#table().get(at.join("/")), directory: at.slice(0, -1) };
  }

  #lastIndex(matches: (name: string) => boolean, before = this.#files.length): number | undefined {
    for (let index = before - 1; index >= 0; index--) {
      const file = this.#files[index];
      if (file !== undefined && matches(latin1(file.name))) return index;
    }
    return undefined;
  }

  #table(): ReadonlyMap<string, number> {
    this.#indexByName ??= new Map(
      this.#files.map((file, index) => [componentsOf(latin1(file.name)).join("/"), index]),
    );
    return this.#indexByName;
  }

  #countLink(): void {
    this.#linksLeft--;
    if (this.#linksLeft >= 0) return;
    throw new SociError(
      "failed-precondition",
      `Cannot follow ${JSON.stringify(this.#path)}: there are more than ${MAX_LINKS} links`,
    );
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

/** The components of a name in the tar: nothing lies above the root. */
function componentsOf(name: string): string[] {
  const components: string[] = [];
  for (const part of partsOf(name)) {
    if (part === "..") components.pop();
    else components.push(part);
  }
  return components;
}
