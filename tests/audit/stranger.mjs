// Checks an export by docs/reference/audit.md alone: node stranger.mjs EXPORT PUBLIC_KEY_HEX
// Prints "whole N" and ends with 0, or the first line that is wrong, and 1.
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const [file, key] = process.argv.slice(2);
const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
const sorted = (value) =>
  Array.isArray(value) ? value.map(sorted)
  : value === null || typeof value !== "object" ? value
  : Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
const canonical = (value) => Buffer.from(JSON.stringify(sorted(value)), "utf8");
const trusted = createPublicKey({
  key: Buffer.from("302a300506032b6570032100" + key, "hex"), format: "der", type: "spki",
});
const fail = (number, why) => { console.log(`line ${number}: ${why}`); process.exit(1); };

let position = 0, hash = Buffer.alloc(32), covered = 0, ended = false;
readFileSync(file, "utf8").split("\n").forEach((text, index) => {
  if (text === "") return;
  const line = JSON.parse(text), number = index + 1;
  if (line.type === "unsealed") { ended = true; return; }
  if (ended) fail(number, "sealed behind unsealed");
  if (line.type === "start") {
    if (covered !== position) fail(number, "no head covers what is before");
    position = covered = line.position;
    hash = Buffer.from(line.hash, "hex");
  } else if (line.type === "record" || line.type === "link") {
    const digest = line.type === "link" ? Buffer.from(line.digest, "hex")
      : sha256(Buffer.from("moica-audit-record/1\n"), canonical(line.record));
    hash = sha256(Buffer.from("moica-audit-link/1\n"), hash, digest);
    if (line.position !== ++position) fail(number, `expected position ${position}`);
    if (line.hash !== hash.toString("hex")) fail(number, "does not follow");
  } else if (line.type === "head") {
    const { type, public_key, signature, ...members } = line;
    const signed = Buffer.concat([Buffer.from("moica-audit-head/1\n"), canonical(members)]);
    if (!verify(null, signed, trusted, Buffer.from(signature, "hex"))) fail(number, "not signed");
    if (line.position !== position || line.hash !== hash.toString("hex")) fail(number, "another head");
    covered = position;
  } else fail(number, "unknown");
});
if (covered !== position) fail("last", "no head covers the end");
console.log(`whole ${position}`);
