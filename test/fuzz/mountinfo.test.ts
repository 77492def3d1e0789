import { expect } from "bun:test";
import fc from "fast-check";
import { parseMountinfo } from "../../src/sys/mountinfo.ts";
import { fuzz } from "./fuzz.ts";
import { acceptedBy, outcomeOf } from "./outcome.ts";

/** As fs/proc_namespace.c escapes them. */
function mangled(text: string): string {
  return text.replace(
    /[ \t\n\\#]/g,
    (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
}

const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 20, unit: "binary" }),
  fc.string({ minLength: 1, maxLength: 10, unit: fc.constantFrom(" ", "\\", "\n", "0", "4", "-") }),
);
const mount = fc.record({
  id: fc.nat(),
  parentId: fc.nat(),
  device: fc.tuple(fc.nat(4095), fc.nat(1_048_575)).map(([major, minor]) => `${major}:${minor}`),
  root: name.map((text) => `/${text}`),
  mountPoint: name.map((text) => `/${text}`),
  options: fc.constantFrom("rw", "ro,nosuid"),
  type: fc.constantFrom("ext4", "fuse.sociable"),
  source: name,
  superOptions: fc.constantFrom("rw", "ro,user_id=0"),
});
const optional = fc.subarray(["shared:1", "master:2", "propagate_from:3", "unbindable"]);

fuzz(
  "parseMountinfo() reads back whatever names the kernel writes",
  { runs: 1000 },
  fc.array(fc.tuple(mount, optional), { maxLength: 5 }),
  (mounts) => {
    const lines = mounts.map(([{ id, parentId, device, ...rest }, fields]) =>
      [
        `${id} ${parentId} ${device}`,
        mangled(rest.root),
        mangled(rest.mountPoint),
        [rest.options, ...fields].join(" "),
        "-",
        rest.type,
        mangled(rest.source),
        rest.superOptions,
      ].join(" "),
    );
    const text = lines.map((line) => `${line}\n`).join("");
    expect(parseMountinfo(text)).toEqual(mounts.map(([one]) => one));
  },
);

fuzz(
  "parseMountinfo() reads or refuses any text",
  { runs: 1000 },
  fc
    .array(fc.constantFrom("36", " ", "98:0", "/", "rw", "-", "\n", "\\040", "\\9", "x"), {
      maxLength: 40,
    })
    .map((parts) => parts.join("")),
  (text) => {
    acceptedBy(outcomeOf(() => parseMountinfo(text), ["data-loss"]));
  },
);
