import type { Mount } from "../../src/containerd/api/mount.ts";

/** The directory of an active snapshot into which its files go. */
export function upperOf([mount]: readonly Mount[]): string {
  if (mount?.type === "bind") return mount.source;
  return optionOf(mount, "upperdir");
}

export function optionOf(mount: Mount | undefined, name: string): string {
  const option = mount?.options.find((one) => one.startsWith(`${name}=`));
  if (option === undefined) throw new Error(`no ${name} in ${JSON.stringify(mount)}`);
  return option.slice(name.length + 1);
}
