/** Mounts a file system of so many bytes at a directory. Needs root. */
export function smallDisk(path: string, bytes: number): Disposable {
  const run = (...command: string[]): void => {
    const { exitCode, stderr } = Bun.spawnSync(command);
    if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
  };
  run("mount", "-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", path);
  return { [Symbol.dispose]: () => run("umount", "-l", path) };
}
