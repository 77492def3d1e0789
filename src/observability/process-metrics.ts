import { readdirSync, readFileSync } from "node:fs";
import { Counter, Gauge, type Registry } from "prom-client";

/**
 * What every Prometheus client tells about its process, under the usual names, and the three kinds
 * of its memory. Read from /proc when asked for; what cannot be read is left out.
 */
export function addProcessMetrics(registry: Registry): void {
  const registers = [registry];
  new Counter({
    name: "process_cpu_seconds_total",
    help: "Total user and system CPU time spent in seconds.",
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: "process_open_fds",
    help: "Number of open file descriptors.",
    registers,
    collect() {
      const fds = openDescriptors();
      if (fds === undefined) this.reset();
      else this.set(fds);
    },
  });
  new Gauge({
    name: "process_start_time_seconds",
    help: "Start time of the process since unix epoch in seconds.",
    registers,
  }).set(Math.round((Date.now() - process.uptime() * 1000) / 1000));
  new Gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory size in bytes.",
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: "sociable_resident_memory_bytes",
    help: "Resident memory by kind; what is mapped from files is the system's to take back.",
    labelNames: ["kind"],
    registers,
    collect() {
      this.reset();
      for (const [kind, bytes] of residentMemory()) this.set({ kind }, bytes);
    },
  });
}

function openDescriptors(): number | undefined {
  try {
    // One of them is the descriptor of this listing.
    return readdirSync("/proc/self/fd").length - 1;
  } catch {
    return undefined;
  }
}

function residentMemory(): readonly (readonly [kind: string, bytes: number])[] {
  try {
    const status = readFileSync("/proc/self/status", "latin1");
    return Array.from(status.matchAll(/^Rss(Anon|File|Shmem):\s+(\d+) kB$/gm), (match) => [
      (match[1] ?? "").toLowerCase(),
      Number(match[2]) * 1024,
    ]);
  } catch {
    return [];
  }
}
