// Opens an encrypted event: the token from standard input, the webhook's key from VONAL_KEY. Node 18 or later.
import { createDecipheriv, hkdfSync } from "node:crypto";
import { readFileSync } from "node:fs";

export function decrypt(token, key) {
  const parts = token.split(".");
  if (parts.length !== 5) throw new Error("no token");
  const [header, wrapped] = parts;
  const [head, , iv, ciphertext, tag] = parts.map((part) => Buffer.from(part, "base64url"));
  const told = JSON.parse(head);
  if (told.alg !== "dir" || told.enc !== "A256GCM" || wrapped !== "") throw new Error("encrypted in another way");
  if (iv.length !== 12 || tag.length !== 16) throw new Error("no token");
  const contentKey = Buffer.from(hkdfSync("sha256", key, "", "", 32));
  const decipher = createDecipheriv("aes-256-gcm", contentKey, iv, { authTagLength: 16 });
  decipher.setAAD(Buffer.from(header)).setAuthTag(tag);
  try {
    return JSON.parse(Buffer.concat([decipher.update(ciphertext), decipher.final()]));
  } catch {
    throw new Error("another key, or the token was changed");
  }
}

try {
  console.log(JSON.stringify(decrypt(readFileSync(0, "utf8").trim(), process.env.VONAL_KEY)));
} catch (fault) {
  console.error(`refused: ${fault.message}`);
  process.exitCode = 1;
}
