// Runs what was built for WebAssembly under Node: `node run.mjs TARGET FOLDER`. The scenario has to pass, and what the README says
// to panic has to.
import { readFile } from "node:fs/promises";
import { argv, exit } from "node:process";

const [, , target, folder] = argv;
const PANIC = "panics";

// The program's exit status.
async function run(program) {
  const module = await WebAssembly.compile(await readFile(`${folder}/${program}.wasm`));
  try {
    if (target.endsWith("-wasip1")) {
      const { WASI } = await import("node:wasi");
      const wasi = new WASI({ version: "preview1", returnOnExit: true });
      return wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject())) ?? 0;
    }
    const { exports } = await WebAssembly.instantiate(module, {});
    return exports.main(0, 0);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) return PANIC;
    throw error;
  }
}

const scenario = await run("scenario");
if (scenario !== 0) {
  console.log(`${target}: the scenario: ${scenario}`);
  exit(1);
}
console.log(`row|written by hand, ${target} in Node|-|StaticTimer|passes`);

// What has no clock cannot say when a deadline is, and nothing has a thread for the default timer.
const expected = { default_timer: PANIC, deadline: target.endsWith("-wasip1") ? 0 : PANIC };
for (const [program, outcome] of Object.entries(expected)) {
  const status = await run(program);
  console.log(`${target}: ${program}: ${status}`);
  if (status !== outcome) exit(1);
}
