// Builds the browser's files into built/: one script, one style sheet with its fonts, and the icon sprite.
// Names carry a hash of the content, so browsers may keep them for good; manifest.json maps plain names to them.
// Fails when the script outgrows its budget, because first load is what a person with a slow line waits for.

import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const built = join(here, "built");
const SCRIPT_BUDGET_BYTES = 60 * 1024;

async function sprite() {
  const names = (await readFile(join(here, "icons.txt"), "utf8")).split("\n").filter(Boolean);
  const symbols = await Promise.all(names.map(async (name) => {
    const svg = await readFile(join(here, "node_modules/lucide-static/icons", `${name}.svg`), "utf8");
    const shapes = svg.replace(/<!--.*?-->/gs, "").replace(/^\s*<svg[^>]*>|<\/svg>\s*$/g, "");
    return `<symbol id="${name}" viewBox="0 0 24 24">${shapes.replace(/\s+/g, " ").trim()}</symbol>`;
  }));
  return `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>\n`;
}

async function bundle() {
  const result = await esbuild.build({
    absWorkingDir: here,
    // The editor is fetched by who writes: it is no part of what everybody waits for.
    entryPoints: { app: "js/app.js", editor: "js/editor.js", "service-worker": "js/service-worker.js", look: "css/look.css" },
    bundle: true,
    minify: true,
    format: "esm",
    target: ["es2022", "chrome120", "firefox121", "safari17.4"],
    loader: { ".woff2": "file" },
    entryNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    outdir: built,
    metafile: true,
    logLevel: "warning",
  });
  const manifest = {};
  for (const [path, output] of Object.entries(result.metafile.outputs)) {
    if (output.entryPoint) {
      const extension = path.slice(path.lastIndexOf("."));
      manifest[output.entryPoint.split("/").pop().replace(/\.\w+$/, extension)] = relative("built", path);
    }
  }
  return manifest;
}

await rm(built, { recursive: true, force: true });
await mkdir(built, { recursive: true });
const manifest = await bundle();
const icons = await sprite();
const digest = createHash("sha256").update(icons).digest("hex").slice(0, 8).toUpperCase();
manifest["icons.svg"] = `icons-${digest}.svg`;
await writeFile(join(built, manifest["icons.svg"]), icons);
await writeFile(join(built, "manifest.json"), JSON.stringify(manifest, null, 2) + "\n");

// Compressed once, here: the web process sends NAME.gz to whoever takes it.
for (const file of (await readdir(built)).filter((one) => /\.(js|css|svg)$/.test(one))) {
  await writeFile(join(built, `${file}.gz`), gzipSync(await readFile(join(built, file)), { level: 9 }));
}

for (const [name, file] of Object.entries(manifest)) {
  const { size } = await stat(join(built, `${file}.gz`));
  console.log(`${name.padEnd(10)} ${(size / 1024).toFixed(1).padStart(6)} kB gzipped`);
  if (name === "app.js" && size > SCRIPT_BUDGET_BYTES) {
    console.error(`app.js is over its budget of ${SCRIPT_BUDGET_BYTES / 1024} kB`);
    process.exitCode = 1;
  }
}
