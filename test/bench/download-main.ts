// Downloads URLs, all at once, and throws their bytes away; prints how many there were.
// Usage: bun download-main.ts URL...
const counts = await Promise.all(process.argv.slice(2).map((url) => download(url)));
process.stdout.write(String(counts.reduce((sum, count) => sum + count, 0)));

async function download(url: string): Promise<number> {
  const response = await fetch(url, { decompress: false });
  if (response.status !== 200 || response.body === null) {
    throw new Error(`Cannot download "${url}": status is ${response.status}, want 200`);
  }
  let bytes = 0;
  for await (const chunk of response.body) bytes += chunk.length;
  return bytes;
}
