/** Whether the clock is set from the network; `undefined` where nobody says. timedatectl(1) */
export async function isClockSynchronized(
  program: string = "timedatectl",
): Promise<boolean | undefined> {
  const path = Bun.which(program);
  if (path === null) return undefined;
  const child = Bun.spawn([path, "show", "--property=NTPSynchronized", "--value"], {
    stdio: ["ignore", "pipe", "ignore"],
    timeout: 3000,
  });
  const text = (await new Response(child.stdout).text()).trim();
  if ((await child.exited) !== 0 || text === "") return undefined;
  return text === "yes";
}
