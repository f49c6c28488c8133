// A TW FidO client by somebody else: Node.js alone, written from the protocol's description.
//
//   BASE_URL=… SP_SERVICE_ID=… SP_AES_KEY=… ANCHORS=ca.pem node client.mjs <command> …
//
//   push|qr ID_NUMBER HINT BASE64…   ask, poll, verify; several BASE64 are one batch
//   status ID_NUMBER                 whether a phone is bound
//   vectors FILE                     the checksums of a file of vectors
//
// Prints one JSON object a line: {"qr": …} where a code is to be scanned, then what came of it.
import crypto from "node:crypto";
import fs from "node:fs";

const env = process.env;
const key = Buffer.from((env.SP_AES_KEY || "").replace(/-/g, "+").replace(/_/g, "/"), "base64");
const say = (value) => console.log(JSON.stringify(value));
const pause = (ms) => new Promise((go) => setTimeout(go, ms));

class Untrue extends Error {}

function seal(payload, iv = crypto.randomBytes(12), secret = key) {
  const hash = crypto.createHash("sha256").update(payload, "utf8").digest("hex");
  const cipher = crypto.createCipheriv("aes-256-gcm", secret, iv);
  return Buffer.concat([iv, cipher.update(hash, "ascii"), cipher.final(), cipher.getAuthTag()]).toString("hex");
}

function unseal(checksum, secret = key) {
  const raw = Buffer.from(checksum, "hex");
  if (raw.length !== 92) throw new Untrue("checksum: length");
  const decipher = crypto.createDecipheriv("aes-256-gcm", secret, raw.subarray(0, 12));
  decipher.setAuthTag(raw.subarray(76));
  try {
    return Buffer.concat([decipher.update(raw.subarray(12, 76)), decipher.final()]).toString("ascii");
  } catch {
    throw new Untrue("checksum: not under this key");
  }
}

function believe(answer, fields) {
  const came = answer.result?.idp_checksum;
  if (typeof came !== "string") throw new Untrue("checksum: none");
  const expected = crypto.createHash("sha256").update(fields.map((f) => f ?? "").join(""), "utf8").digest();
  if (!crypto.timingSafeEqual(expected, Buffer.from(unseal(came), "hex"))) throw new Untrue("checksum: another answer");
  return answer.result;
}

const bare = (code) => String(code).replace(/^SP-API-[A-Z]+-\d+-/, "").replace(/[:\s].*$/s, "");

async function call(method, body, order) {
  const flat = { ...body.sign_info, ...body };
  const sp_checksum = seal(order.map((name) => flat[name] ?? "").join(""));
  const reply = await fetch(`${env.BASE_URL}/moise/sp/${method}`, {
    method: "POST",
    headers: { "Content-Type": "application/json; charset=utf-8" },
    body: JSON.stringify({ ...body, sp_checksum }),
  });
  if (reply.status !== 200) throw new Error(`HTTP ${reply.status}`);
  const answer = await reply.json();
  return { ...answer, code: bare(answer.error_code) };
}

const service = { sp_service_id: env.SP_SERVICE_ID };
const SIGN = { sign_type: "PKCS#1", tbs_encoding: "base64", hash_algorithm: "SHA256" };

async function ask(way, id_num, hint, data) {
  const common = { transaction_id: crypto.randomUUID(), ...service, id_num, hint, time_limit: 60 };
  const head = ["transaction_id", "sp_service_id", "id_num"];
  let answer;
  if (data.length > 1) {
    const body = { ...common, op_code: "BATSIGN", op_mode: way === "qr" ? "I-SCAN" : "PUSH", sign_info: { ...SIGN, sign_data_set: data } };
    answer = await call("doBatchSigning", body, [...head, "op_code", "op_mode", "hint"]);
  } else if (way === "qr") {
    const body = { ...common, op_code: "SIGN", op_mode: "I-SCAN", sign_info: { ...SIGN, sign_data: data[0] } };
    answer = await call("getSpTicket", body, [...head, "op_code", "op_mode", "hint", "sign_data"]);
  } else {
    const body = { ...common, op_code: "SIGN", sign_info: { ...SIGN, sign_data: data[0] } };
    answer = await call("requestAthOrSignPush", body, [...head, "device_user_def_desc", "op_code", "hint", "sign_data"]);
  }
  if (answer.code !== "0") return { refused: answer.code };
  const { sp_ticket } = believe(answer, [common.transaction_id, "0", answer.result.sp_ticket]);
  const [payload, digest] = sp_ticket.split(".");
  if (crypto.createHash("sha256").update(payload, "ascii").digest("base64url") !== digest) throw new Untrue("ticket: digest");
  const ticket = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
  if (ticket.transaction_id !== common.transaction_id) throw new Untrue("ticket: another's");
  return { ticket: sp_ticket, ticketId: ticket.sp_ticket_id, transaction: common.transaction_id };
}

async function result(asked) {
  const body = { transaction_id: asked.transaction, ...service, sp_ticket_id: asked.ticketId };
  for (;;) {
    await pause(Number(env.POLL_MS || 4000));
    const answer = await call("getAthOrSignResult", body, ["transaction_id", "sp_service_id", "sp_ticket_id"]);
    if (["SPTKTID_TXNLOG_NF", "20002", "20003"].includes(answer.code)) continue;
    if (answer.code !== "0") return { refused: answer.code };
    const { hashed_id_num, signed_response } = answer.result;
    return believe(answer, [asked.transaction, "0", hashed_id_num, signed_response]);
  }
}

function verify(found, data) {
  const holder = new crypto.X509Certificate(Buffer.from(found.cert, "base64"));
  const anchors = fs.readFileSync(env.ANCHORS, "utf8").match(/-----BEGIN[^]*?-----END CERTIFICATE-----/g).map((pem) => new crypto.X509Certificate(pem));
  let at = holder;
  for (;;) {
    const above = anchors.find((one) => at.checkIssued(one) && at.verify(one.publicKey));
    if (!above) throw new Untrue("certificate: no path");
    if (above.checkIssued(above)) break;
    at = above;
  }
  const signatures = found.signed_response_set ?? [found.signed_response];
  if (signatures.length !== data.length) throw new Untrue("signatures: another number");
  data.forEach((each, index) => {
    const good = crypto.verify("sha256", Buffer.from(each, "base64"), holder.publicKey, Buffer.from(signatures[index], "base64"));
    if (!good) throw new Untrue(`signature ${index}: not over what was asked`);
  });
  return { verified: signatures.length, subject: holder.subject };
}

async function main([command, ...rest]) {
  if (command === "vectors") {
    const file = JSON.parse(fs.readFileSync(rest[0], "utf8"));
    const secret = Buffer.from(file.aes_key_base64, "base64");
    for (const one of file.checksums) {
      const made = seal(one.payload, Buffer.from(one.iv_hex, "hex"), secret);
      if (made !== one.checksum || unseal(one.checksum, secret) !== one.sha256_hex) throw new Untrue(one.name);
    }
    return { vectors: file.checksums.length };
  }
  if (command === "status") {
    const body = { transaction_id: crypto.randomUUID(), ...service, id_num: rest[0] };
    const answer = await call("checkDeviceStatus", body, ["transaction_id", "sp_service_id", "id_num"]);
    if (answer.code !== "0") return { refused: answer.code };
    const { is_fido, is_mcert_sign } = answer.result;
    believe(answer, [body.transaction_id, "0", is_fido, is_mcert_sign]);
    return { is_fido, is_mcert_sign };
  }
  const [id, hint, ...data] = rest;
  const asked = await ask(command, id, hint, data);
  if (asked.refused) return asked;
  if (command === "qr") say({ qr: asked.ticket });
  const found = await result(asked);
  return found.refused ? found : verify(found, data);
}

try {
  say(await main(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof Untrue)) throw error;
  say({ untrue: error.message });
}
