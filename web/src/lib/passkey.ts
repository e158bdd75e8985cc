// Passkeys. <div data-passkey="sign-in|prove|add" data-then="/…"> holds a button, a [data-passkey-fault], and for "add"
// an input for the name.
import { on } from "./dom";

const FINISH: Record<string, string> = {
  "sign-in": "/sign-in/passkey",
  prove: "/account/prove/passkey",
  add: "/account/passkeys",
};
const OPTIONS: Record<string, string> = {
  "sign-in": "/sign-in/passkey/options",
  prove: "/sign-in/passkey/options",
  add: "/account/passkeys/options",
};

type Json = { [name: string]: any };

function bytes(text: string): Uint8Array<ArrayBuffer> {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (one) => one.charCodeAt(0));
}

function coded(raw: ArrayBuffer | null): string | null {
  if (raw === null) return null;
  const plain = String.fromCharCode(...new Uint8Array(raw));
  return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

async function send(path: string, fields: Record<string, string>): Promise<Json> {
  const csrf = document.querySelector<HTMLMetaElement>('meta[name="csrf"]')?.content;
  const answer = await fetch(path, {
    method: "POST",
    headers: csrf ? { "X-CSRF-Token": csrf } : {},
    body: new URLSearchParams(fields),
  });
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
  return answer.json();
}

function listed(some: Json[] | undefined): PublicKeyCredentialDescriptor[] {
  return (some ?? []).map((one) => ({ type: "public-key", id: bytes(one.id) }));
}

async function made(options: Json): Promise<Json> {
  const credential = (await navigator.credentials.create({
    publicKey: {
      ...(options as PublicKeyCredentialCreationOptions),
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
      excludeCredentials: listed(options.excludeCredentials),
    },
  })) as PublicKeyCredential;
  const response = credential.response as AuthenticatorAttestationResponse;
  return {
    id: credential.id,
    rawId: coded(credential.rawId),
    type: credential.type,
    response: { clientDataJSON: coded(response.clientDataJSON), attestationObject: coded(response.attestationObject) },
  };
}

async function signed(options: Json): Promise<Json> {
  const credential = (await navigator.credentials.get({
    publicKey: {
      ...(options as PublicKeyCredentialRequestOptions),
      challenge: bytes(options.challenge),
      allowCredentials: listed(options.allowCredentials),
    },
  })) as PublicKeyCredential;
  const response = credential.response as AuthenticatorAssertionResponse;
  return {
    id: credential.id,
    rawId: coded(credential.rawId),
    type: credential.type,
    response: {
      clientDataJSON: coded(response.clientDataJSON),
      authenticatorData: coded(response.authenticatorData),
      signature: coded(response.signature),
      userHandle: coded(response.userHandle),
    },
  };
}

async function go(box: HTMLElement): Promise<void> {
  const kind = box.dataset.passkey ?? "";
  const options = await send(OPTIONS[kind]!, {});
  if (!options.go) {
    const credential = kind === "add" ? await made(options) : await signed(options);
    const name = box.querySelector<HTMLInputElement>("input")?.value ?? "";
    const fields = { credential: JSON.stringify(credential), then: box.dataset.then ?? "/", name };
    Object.assign(options, await send(FINISH[kind]!, fields));
  }
  location.assign(options.go);
}

on("click", "[data-passkey] button", (button) => {
  const box = button.closest<HTMLElement>("[data-passkey]");
  if (!box || !(button instanceof HTMLButtonElement)) return;
  const fault = box.querySelector<HTMLElement>("[data-passkey-fault]");
  if (fault) fault.hidden = true;
  button.disabled = true;
  go(box).catch(() => {
    button.disabled = false;
    if (fault) fault.hidden = false;
  });
});
