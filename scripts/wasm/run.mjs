// Runs the module of this folder: node run.mjs MODULE.wasm. Exit code 1 if a word differs or a control fails.
import { readFileSync } from "node:fs";

/** Random geometries beside the fixed list. */
const GEOMETRIES = 400;

let memory;
const host = {
  line: (text, len) => console.log(new TextDecoder().decode(new Uint8Array(memory.buffer, text, len))),
  now: () => performance.now(),
};
const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]), { host });
memory = instance.exports.memory;

const fail = (why) => {
  console.error(`FAILED: ${why}`);
  process.exit(1);
};
if (!instance.exports.best_is_vectors()) fail("the best instruction set is not simd128");
if (instance.exports.compare(GEOMETRIES, false) !== 0) fail("simd128 differs from the reference");
if (instance.exports.compare(GEOMETRIES, true) !== 0) fail("a spoiled weight was not found: the comparison sees nothing");
instance.exports.speed();
