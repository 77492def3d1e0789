import { describe, expect, test } from "bun:test";
import { renderCommandHelp, renderGroupHelp } from "../../src/cli/help.ts";
import { echoCommand, sampleRegistry } from "./sample-registry.ts";

const options = { path: "sociable echo", color: false };

describe("renderCommandHelp()", () => {
  test("shows usage, arguments, flags with value names, units and defaults, and examples", async () => {
    const help = await renderCommandHelp(echoCommand, options);
    expect(help).toContain("USAGE sociable echo [OPTIONS] <IMAGE> [PATH...]");
    expect(help).toMatch(/--span-size=<SIZE> +Bytes in a span \(Default: 4MiB\)/);
    expect(help).toMatch(/--timeout=<TIME> +Patience \(Default: 30s\)/);
    expect(help).toMatch(/-p, --platform=<OS\/ARCH> +Platforms \(repeatable\)/);
    expect(help).toContain("--compression=<gzip|zstd>");
    expect(help).toContain("    sociable echo alpine");
    expect(help).toContain("  Two paragraphs.");
  });

  test.each(["--root=<DIR>", "--log-level=<", "--log-format=<", "-h, --help"])(
    "shows the global flag %s",
    async (flag) => {
      expect(await renderCommandHelp(echoCommand, options)).toContain(flag);
    },
  );

  test("has no escape sequence without colour", async () => {
    expect(await renderCommandHelp(echoCommand, options)).not.toContain("\u001b");
  });

  test("fits the terminal, but for examples", async () => {
    const help = await renderCommandHelp(echoCommand, { ...options, width: 60 });
    const [prose = ""] = help.split("EXAMPLES");
    expect(Math.max(...prose.split("\n").map((line) => Bun.stringWidth(line)))).toBeLessThan(61);
    expect(help).toContain("    sociable echo alpine\n");
    expect(help).not.toMatch(/ $/m);
  });

  test("has no white space at line ends", async () => {
    expect(await renderCommandHelp(echoCommand, options)).not.toMatch(/ $/m);
  });
});

describe("renderGroupHelp()", () => {
  test("lists commands with aliases and summaries, and loads none", async () => {
    const help = await renderGroupHelp(sampleRegistry, {
      path: "sociable",
      isTop: true,
      color: false,
    });
    expect(help).toMatch(/list, ls +List things/);
    expect(help).toMatch(/broken +Cannot be loaded/);
    expect(help).toContain("--version");
  });

  test("shows --version at the top only", async () => {
    const help = await renderGroupHelp(sampleRegistry, {
      path: "sociable index",
      isTop: false,
      color: false,
    });
    expect(help).not.toContain("--version");
  });
});
