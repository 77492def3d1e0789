const CHILD = new URL("hostile-input.ts", import.meta.url).pathname;

/**
 * Most memory, in bytes of resident set, that a process of its own takes to work through a hostile
 * input of hostile-input.ts. Compare with its input "nothing".
 */
export async function peakMemory(decoder: string, input: string): Promise<number> {
  const child = Bun.spawn([process.execPath, CHILD, decoder, input], {
    stdout: "ignore",
    stderr: "pipe",
  });
  const errors = await new Response(child.stderr).text();
  const code = await child.exited;
  const usage = child.resourceUsage();
  if (code !== 0 || usage === undefined) {
    throw new Error(`Cannot measure ${decoder} with ${input}: exit code ${code}: ${errors}`);
  }
  return usage.maxRSS;
}
