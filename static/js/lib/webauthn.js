/* The browser's passkeys, JSON in and JSON out. Native parseRequestOptionsFromJSON, parseCreationOptionsFromJSON and
   toJSON (WebAuthn L3 5.1.8 to 5.1.10) where there are, and the same by hand where there are not. */

const native = globalThis.PublicKeyCredential;

export const isSupported = () => Boolean(native && navigator.credentials);

export const canAutofill = async () => Boolean(await native?.isConditionalMediationAvailable?.());

/* Ask for a signature. more: mediation and signal of navigator.credentials.get(). */
export async function getAssertion(options, more = {}) {
  const publicKey = native.parseRequestOptionsFromJSON?.(options) ?? requestOptions(options);
  return asJson(await navigator.credentials.get({ publicKey, ...more }));
}

/* Make a passkey. */
export async function createPasskey(options) {
  const publicKey = native.parseCreationOptionsFromJSON?.(options) ?? creationOptions(options);
  return asJson(await navigator.credentials.create({ publicKey }));
}

const requestOptions = (options) => ({
  ...options,
  challenge: bytes(options.challenge),
  allowCredentials: (options.allowCredentials ?? []).map(descriptor),
});

const creationOptions = (options) => ({
  ...options,
  challenge: bytes(options.challenge),
  user: { ...options.user, id: bytes(options.user.id) },
  excludeCredentials: (options.excludeCredentials ?? []).map(descriptor),
});

const descriptor = (key) => ({ ...key, id: bytes(key.id) });

function asJson(credential) {
  if (credential.toJSON) return credential.toJSON();
  const { id, rawId, type, authenticatorAttachment, response } = credential;
  const parts = {};
  for (const name of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
    if (response[name]) parts[name] = text(response[name]);
  }
  if (response.getTransports) parts.transports = response.getTransports();
  const clientExtensionResults = credential.getClientExtensionResults();
  return { id, rawId: text(rawId), type, authenticatorAttachment, clientExtensionResults, response: parts };
}

const bytes = (base64url) => Uint8Array.from(atob(base64url.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0));

const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
