import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isServiceError } from '../../src/errors.ts'
import { toPem } from '../../src/pki/certificate.ts'
import { type VerifiedX509Svid, verifyX509Svid } from '../../src/pki/verify-chain.ts'
import { type GeneratedChain } from './chain-arbitraries.ts'
import { NOW } from './forge.ts'

/** The version of the openssl program, or undefined where there is none. */
export function opensslVersion(): string | undefined {
  const { error, stdout } = spawnSync('openssl', ['version'], { encoding: 'utf8' })
  return error === undefined ? stdout.trim() : undefined
}

/** How two validators judged one chain, and whether they agree or why not. */
export type Comparison =
  | { readonly kind: 'both accept' | 'both refuse' }
  /** We refuse what OpenSSL accepts, and the standard asks for it. */
  | { readonly kind: 'stricter'; readonly reason: string }
  /** We found a path where OpenSSL, which tries one only, did not; it accepts that path by itself. */
  | { readonly kind: 'another path' }
  | { readonly kind: 'unexplained'; readonly ours: string; readonly openssl: string }

/** Where SPIFFE asks for more than RFC 5280 does, by what our refusal says. */
const STRICTER: Readonly<Record<string, RegExp>> = {
  'X5-21 exactly one URI SAN': /URI SANs, wanted exactly one/,
  'X5-22 a CA authenticates nobody': /is a CA, which never authenticates/,
  'X5-23 a leaf signs no certificates': /may sign certificates or CRLs/,
  'X5-17 a leaf signs with its key': /key usage without digitalSignature/,
  'X5-26 the anchors of the domain that the leaf names, and no others':
    /no bundle of the trust domain/,
}

/**
 * A URI whose host is an IP address must be refused under any URI constraint (RFC 5280 §4.2.1.10); OpenSSL only
 * compares it, so that an exclusion of another host lets it pass.
 */
function isExcludedAddress(ours: string, { spec }: GeneratedChain): boolean {
  return /^[0-9.]+$/.test(spec.leaf.host) && /name constraints .* is excluded/.test(ours)
}

function whyStricter(ours: string, chain: GeneratedChain): string | undefined {
  if (isExcludedAddress(ours, chain)) return 'X5-19 no URI constraint fits an IP address'
  return Object.entries(STRICTER).find(([, words]) => words.test(ours))?.[0]
}

/** Judges a chain with our validator and with openssl, and says how the verdicts compare. */
export function compareWithOpenssl(chain: GeneratedChain, folder: string): Comparison {
  const ours = judge(chain)
  const [leaf, ...others] = chain.presented
  if (leaf === undefined) throw new Error('no leaf')
  const openssl = opensslVerify(folder, { leaf, others, anchors: chain.anchors })
  if (typeof ours !== 'string') {
    if (openssl === 'OK') return { kind: 'both accept' }
    const [, ...above] = ours.path.map(({ der }) => der)
    const alone = { leaf, others: above.slice(0, -1), anchors: above.slice(-1) }
    return opensslVerify(folder, alone) === 'OK'
      ? { kind: 'another path' }
      : { kind: 'unexplained', ours: 'accepts', openssl }
  }
  if (openssl !== 'OK') return { kind: 'both refuse' }
  const reason = whyStricter(ours, chain)
  return reason === undefined
    ? { kind: 'unexplained', ours, openssl }
    : { kind: 'stricter', reason }
}

function judge({ presented, anchors }: GeneratedChain): VerifiedX509Svid | string {
  const anchorsOf = (domain: string) => (domain === 'other.example' ? undefined : anchors)
  try {
    return verifyX509Svid(presented, { anchorsOf, now: NOW })
  } catch (thrown) {
    if (isServiceError(thrown, 'SVID_INVALID')) return (thrown as Error).message
    throw thrown
  }
}

interface Input {
  readonly leaf: Uint8Array
  readonly others: readonly Uint8Array[]
  readonly anchors: readonly Uint8Array[]
}

function opensslVerify(folder: string, { leaf, others, anchors }: Input): string {
  const file = (name: string, certificates: readonly Uint8Array[]): string => {
    const path = join(folder, name)
    writeFileSync(path, certificates.map((der) => toPem(der)).join(''))
    return path
  }
  const { status, stdout, stderr } = spawnSync(
    'openssl',
    [
      'verify',
      '-no-CApath',
      '-no-CAstore',
      '-partial_chain',
      '-attime',
      String(NOW.getTime() / 1000),
      '-CAfile',
      file('anchors.pem', anchors),
      ...(others.length === 0 ? [] : ['-untrusted', file('others.pem', others)]),
      file('leaf.pem', [leaf]),
    ],
    { encoding: 'utf8' },
  )
  return status === 0 ? 'OK' : (stderr || stdout).trim()
}
