import { createPrivateKey, type KeyObject } from 'node:crypto'
import type { BundleView } from '../../bundle/api.ts'
import { addSeconds, systemClock, wholeSeconds } from '../../clock.ts'
import type { SignedBundleView } from '../../federation/recovery/signed-bundle-api.ts'
import { writeSignedBundle } from '../../pki/signed-bundle.ts'
import { parseTrustDomain } from '../../spiffe/trust-domain.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'

/** How a bundle is to be signed. */
export interface SignOptions {
  readonly trustDomain?: string
  readonly for?: string
  readonly expiresIn?: string
  readonly recoveryKey?: string
}

const DEFAULT_SECONDS = 86_400

/** Prints our bundle signed for one receiver: by the service, or here by a recovery key that it never sees. */
export async function showSigned(cli: Cli, options: SignOptions): Promise<void> {
  const audience = options.for
  if (audience === undefined) throw usageFailure('--signed needs --for with the receiver')
  const view =
    options.recoveryKey === undefined
      ? await signedByService(cli, { ...options, for: audience })
      : await signedHere(cli, { ...options, for: audience, recoveryKey: options.recoveryKey })
  if (cli.output === 'table') cli.printText(`${view.signedBundle}\n`)
  else cli.print(view)
}

/** The name of an option as it is typed. */
export function dashed(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

async function signedByService(
  cli: Cli,
  { for: audience, trustDomain, expiresIn }: SignOptions & { readonly for: string },
): Promise<SignedBundleView> {
  const mesh = await cli.meshId()
  const query = { for: audience, trustDomain, ttlSeconds: expiresIn }
  return cli.get<SignedBundleView>(path`/meshes/${mesh}/bundle/signed`, { query })
}

async function signedHere(
  cli: Cli,
  options: SignOptions & { readonly for: string; readonly recoveryKey: string },
): Promise<SignedBundleView> {
  const privateKey = keyIn(await cli.readInput(options.recoveryKey))
  const mesh = await cli.meshId()
  const { trustDomain } = options
  const found = await cli.get<BundleView>(path`/meshes/${mesh}/bundle`, { query: { trustDomain } })
  const issuedAt = wholeSeconds(systemClock.now())
  const expiresAt = addSeconds(issuedAt, secondsOf(options.expiresIn))
  const bundle = {
    subject: parseTrustDomain(found.trustDomain),
    audience: parseTrustDomain(options.for),
    sequence: BigInt(found.sequence),
    document: new TextEncoder().encode(found.document),
    issuedAt,
    expiresAt,
  }
  return {
    trustDomain: bundle.subject,
    for: bundle.audience,
    sequence: found.sequence,
    expiresAt: expiresAt.toISOString(),
    signedBundle: writeSignedBundle(bundle, { how: 'recovery-key', privateKey }),
  }
}

function keyIn(pem: Uint8Array): KeyObject {
  try {
    return createPrivateKey(Buffer.from(pem))
  } catch {
    throw usageFailure(
      'the recovery key file holds no private key in PEM',
      'entente recovery-key create --out FILE   # makes one',
    )
  }
}

function secondsOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_SECONDS
  if (/^[0-9]{1,7}$/.test(text)) return Number(text)
  throw usageFailure(`--expires-in is a number of seconds, found "${text}"`)
}
