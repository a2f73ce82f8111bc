import type { KeyObject } from 'node:crypto'
import { addSeconds, wholeSeconds } from '../clock.ts'
import { type MeshId, newId } from '../db/ids.ts'
import type { Keyring } from '../db/keyring.ts'
import { ServiceError } from '../errors.ts'
import type { MeshSettings } from '../mesh/settings.ts'
import { createIntermediate, createRoot } from '../pki/ca-certificate.ts'
import {
  exportPrivateKey,
  generateKeyPair,
  importPrivateKey,
  type KeyPair,
  keyId,
  publicKeySha256,
  spkiOf,
} from '../pki/key-pair.ts'
import { proveCaCertificate, proveJwtKey } from '../pki/prove-authority.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { Slot, StoredAuthority } from './authority.ts'
import type { NewAuthority } from './change-store.ts'

/** Seconds that a CA certificate's beginning lies back, for verifiers with a slow clock. */
const BACKDATE_SECONDS = 60

/** For whom, until when and under which KEK an authority is made. */
export interface MakeContext {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  readonly settings: MeshSettings
  readonly keyring: Keyring
  readonly now: Date
}

/** A root whose private key is at hand, to sign an intermediate. */
export interface SigningRoot {
  readonly id: string
  readonly certificate: Uint8Array
  readonly notAfter: Date
  readonly privateKey: KeyObject
}

/** A new authority, and its key for what it signs in the same transaction. */
export interface Made {
  readonly authority: NewAuthority
  readonly privateKey: KeyObject
}

/** Makes a root: self-signed, the ID of its trust domain (X5-13, X5-14, X5-30; ID-19), a key of its own (BU-10). */
export async function makeRoot(context: MakeContext): Promise<Made> {
  const keys = generateKeyPair()
  const life = lifeOf(context, context.settings.rootSeconds)
  const certificate = createRoot({ trustDomain: context.trustDomain, keys, ...life })
  await proveCaCertificate(certificate, certificate)
  return made(context, { keys, slot: { kind: 'x509_root', cluster: undefined }, certificate, life })
}

/** Makes an intermediate for a cluster; it never ends after its root. */
export async function makeIntermediate(
  context: MakeContext,
  { root, cluster }: { readonly root: SigningRoot; readonly cluster: string | undefined },
): Promise<Made> {
  const keys = generateKeyPair()
  const wanted = lifeOf(context, context.settings.intermediateSeconds)
  const notAfter = wanted.notAfter < root.notAfter ? wanted.notAfter : root.notAfter
  const life = { notBefore: wanted.notBefore, notAfter }
  const certificate = createIntermediate({
    trustDomain: context.trustDomain,
    publicKey: keys.publicKey,
    issuer: { certificate: root.certificate, privateKey: root.privateKey },
    ...life,
  })
  await proveCaCertificate(certificate, root.certificate)
  const slot: Slot = { kind: 'x509_intermediate', cluster }
  return made(context, { keys, slot, certificate, life, parentId: root.id })
}

/** Makes a key that signs JWT-SVIDs. */
export async function makeJwtKey(context: MakeContext): Promise<Made> {
  const keys = generateKeyPair()
  await proveJwtKey(keys, context.trustDomain)
  const life = lifeOf(context, context.settings.jwtKeySeconds)
  return made(context, { keys, slot: { kind: 'jwt', cluster: undefined }, life })
}

/** Opens the private key of an authority; throws ISSUER_UNAVAILABLE when it was erased. */
export function openPrivateKey(
  keyring: Keyring,
  authority: StoredAuthority,
  sealedKey: Uint8Array | undefined,
): KeyObject {
  if (sealedKey === undefined) {
    throw new ServiceError(
      'ISSUER_UNAVAILABLE',
      `the ${authority.kind} of ${authority.trustDomain} has no private key any more`,
      { retryAfterSeconds: 1 },
    )
  }
  const { meshId, trustDomain, id, kind, publicKey } = authority
  return importPrivateKey(
    keyring.open(sealedKey, sealContext({ meshId, trustDomain, id, kind, publicKey })),
  )
}

interface Life {
  readonly notBefore: Date
  readonly notAfter: Date
}

function lifeOf(context: MakeContext, seconds: number): Life {
  const now = wholeSeconds(context.now)
  return { notBefore: addSeconds(now, -BACKDATE_SECONDS), notAfter: addSeconds(now, seconds) }
}

interface Parts {
  readonly keys: KeyPair
  readonly slot: Slot
  readonly life: Life
  readonly certificate?: Uint8Array
  readonly parentId?: string
}

function made({ meshId, trustDomain, keyring, now }: MakeContext, parts: Parts): Made {
  const { keys, slot, life, certificate, parentId } = parts
  const id = newId()
  const publicKey = spkiOf(keys.publicKey)
  const context = sealContext({ meshId, trustDomain, id, kind: slot.kind, publicKey })
  return {
    privateKey: keys.privateKey,
    authority: {
      meshId,
      trustDomain,
      id,
      kind: slot.kind,
      cluster: slot.cluster,
      parentId,
      ...life,
      certificate,
      publicKey,
      keyId: keyId(keys.publicKey),
      preparedAt: now,
      sealedKey: keyring.seal(exportPrivateKey(keys.privateKey), context),
    },
  }
}

function sealContext(
  of: Pick<StoredAuthority, 'meshId' | 'trustDomain' | 'id' | 'kind' | 'publicKey'>,
) {
  return {
    of: 'authority',
    meshId: of.meshId,
    trustDomain: of.trustDomain,
    authorityId: of.id,
    kind: of.kind,
    publicKeySha256: publicKeySha256(of.publicKey),
  } as const
}
