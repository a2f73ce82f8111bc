import fc from 'fast-check'
import { extension } from '../../src/pki/ca-certificate.ts'
import { octetString } from '../../src/pki/der-write.ts'
import { GENERAL_NAME } from '../../src/pki/extensions.ts'
import { generateKeyPair, type KeyPair } from '../../src/pki/key-pair.ts'
import {
  basicConstraints,
  constraints,
  forge,
  type Forged,
  forgeLeaf,
  HOUR,
  keyUsage,
  NOW,
  sans,
} from './forge.ts'

/** One certificate of a generated chain; the first choice of each is what a good one has. */
interface CertificateSpec {
  readonly life: 'now' | 'ended' | 'future'
  readonly isCa: boolean
  readonly pathLength: number | undefined
  readonly usage: 'both' | 'absent' | 'certSign' | 'signature'
  readonly rules: Rules
  readonly oddCritical: boolean
  readonly uri: boolean
}

type Rules = (typeof RULES)[number]
const RULES = [
  'none',
  'permits acme',
  'permits below acme',
  'permits other',
  'excludes acme',
  'excludes other',
  'permits dns',
] as const

/** A chain to be made: root first, leaf last. */
export interface ChainSpec {
  readonly authorities: readonly CertificateSpec[]
  readonly leaf: {
    readonly life: CertificateSpec['life']
    readonly isCa: boolean
    readonly usage: 'signature' | 'absent' | 'certSign' | 'agreement'
    readonly host: string
    readonly oddCritical: boolean
    readonly breakSignature: boolean
    readonly uris: number
  }
  /** Which of the authorities is the anchor: 0 is the root. */
  readonly anchor: number
  readonly leaveOut: boolean
  readonly shuffle: readonly number[]
  readonly extras: number
  /** Another root with the same subject and its own key, among the anchors or among what is sent. */
  readonly impostor: 'none' | 'anchor' | 'sent' | 'only anchor'
}

/** A chain as it was made. */
export interface GeneratedChain {
  /** Leaf first. */
  readonly presented: readonly Uint8Array[]
  readonly anchors: readonly Uint8Array[]
  readonly spec: ChainSpec
}

/** One value most of the time, another now and then, so that most chains have no fault or one. */
const mostly = <T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof(
    { weight: 14, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  )

const authority: fc.Arbitrary<CertificateSpec> = fc.record({
  life: mostly<CertificateSpec['life']>('now', 'ended', 'future'),
  isCa: mostly(true, false),
  pathLength: fc.oneof(
    { weight: 6, arbitrary: fc.constant(undefined) },
    { weight: 2, arbitrary: fc.constantFrom(2, 1) },
    { weight: 1, arbitrary: fc.constant(0) },
  ),
  usage: mostly<CertificateSpec['usage']>('both', 'absent', 'certSign', 'signature'),
  rules: fc.oneof(
    { weight: 5, arbitrary: fc.constant<Rules>('none') },
    {
      weight: 2,
      arbitrary: fc.constantFrom<Rules>('permits acme', 'excludes other', 'permits dns'),
    },
    { weight: 1, arbitrary: fc.constantFrom(...RULES) },
  ),
  oddCritical: mostly(false, true),
  uri: fc.boolean(),
})

/** Chains of a root, up to three intermediates and a leaf, with faults of every kind here and there. */
export const chains: fc.Arbitrary<ChainSpec> = fc.record({
  authorities: fc.array(authority, { minLength: 1, maxLength: 4 }),
  leaf: fc.record({
    life: mostly<CertificateSpec['life']>('now', 'ended', 'future'),
    isCa: mostly(false, true),
    usage: mostly<ChainSpec['leaf']['usage']>('signature', 'absent', 'certSign', 'agreement'),
    host: fc.oneof(
      { weight: 6, arbitrary: fc.constant('acme.example') },
      fc.constantFrom('a.acme.example', 'other.example', '10.0.0.1', 'acme.example.evil'),
    ),
    oddCritical: mostly(false, true),
    breakSignature: mostly(false, true),
    uris: mostly(1, 0, 2),
  }),
  anchor: mostly(0, 1, 2),
  leaveOut: mostly(false, true),
  shuffle: fc.array(fc.nat(), { minLength: 8, maxLength: 8 }),
  extras: mostly(0, 1, 3),
  impostor: mostly<ChainSpec['impostor']>('none', 'anchor', 'sent', 'only anchor'),
})

const LIVES = {
  now: {},
  ended: {
    notBefore: new Date(NOW.getTime() - 2 * HOUR),
    notAfter: new Date(NOW.getTime() - HOUR),
  },
  future: {
    notBefore: new Date(NOW.getTime() + HOUR),
    notAfter: new Date(NOW.getTime() + 2 * HOUR),
  },
} as const

const CA_USAGE = {
  both: [keyUsage(0x06, 1)],
  absent: [],
  certSign: [keyUsage(0x04, 2)],
  signature: [keyUsage(0x80, 7)],
} as const

const LEAF_USAGE = {
  signature: keyUsage(0x80, 7),
  absent: undefined,
  certSign: keyUsage(0x84, 2),
  agreement: keyUsage(0x08, 3),
} as const

const uriRule = (name: string) => [[GENERAL_NAME.uri, name]] as const
const EXTENSIONS_BY_RULE: Readonly<Record<Rules, readonly Buffer[]>> = {
  none: [],
  'permits acme': [constraints({ permitted: uriRule('acme.example') })],
  'permits below acme': [constraints({ permitted: uriRule('.acme.example') })],
  'permits other': [constraints({ permitted: uriRule('other.example') })],
  'excludes acme': [constraints({ excluded: uriRule('acme.example') })],
  'excludes other': [constraints({ excluded: uriRule('other.example') })],
  'permits dns': [constraints({ permitted: [[GENERAL_NAME.dns, 'svc.example']] })],
}

const ODD = extension('1.3.6.1.4.1.99999.1', octetString(Buffer.of(1)), 'critical')

// Making a key costs more than all else here, and which of them it is makes no difference.
const KEYS: readonly KeyPair[] = Array.from({ length: 8 }, () => generateKeyPair())

/** Makes the certificates of a chain. */
export function generateChain(spec: ChainSpec): GeneratedChain {
  const made = madeAuthorities(spec)
  const issuer = made.at(-1) ?? fail()
  const leaf = leafOf(spec, issuer)
  const anchor = Math.min(spec.anchor, made.length - 1)
  const sent = made.slice(1).filter((_, index) => !(spec.leaveOut && index === 0))
  const others = [...sent, ...strangers(spec.extras)].map(({ der }) => der as Uint8Array)
  const impostor = forge({ ...caOf(spec.authorities[0] ?? fail(), 0), keys: KEYS[7] ?? fail() })
  const trusted = made[anchor] ?? fail()
  if (spec.impostor === 'sent') others.push(impostor.der)
  const anchors = {
    none: [trusted],
    sent: [trusted],
    anchor: [impostor, trusted],
    'only anchor': [impostor],
  }[spec.impostor].map(({ der }) => der as Uint8Array)
  return { presented: [leaf.der, ...shuffled(others, spec.shuffle)], anchors, spec }
}

function madeAuthorities({ authorities }: ChainSpec): Forged[] {
  const made: Forged[] = []
  for (const [depth, spec] of authorities.entries()) {
    const issuer = made.at(-1)
    made.push(
      forge({
        ...caOf(spec, depth),
        keys: KEYS[depth] ?? fail(),
        ...(issuer === undefined ? {} : { issuer }),
      }),
    )
  }
  return made
}

function caOf(
  { life, isCa, pathLength, usage, rules, oddCritical, uri }: CertificateSpec,
  depth: number,
) {
  const room = pathLength === undefined || !isCa ? {} : { pathLength }
  return {
    subject: `ca ${depth}`,
    ...LIVES[life],
    extensions: [
      basicConstraints({ isCa, ...room }),
      ...CA_USAGE[usage],
      ...(uri ? [sans({ uris: ['spiffe://acme.example'] })] : []),
      ...EXTENSIONS_BY_RULE[rules],
      ...(oddCritical ? [ODD] : []),
    ],
  }
}

function leafOf({ leaf }: ChainSpec, issuer: Forged): Forged {
  const names = [`spiffe://${leaf.host}/web`, 'https://acme.example/']
  return forgeLeaf({
    issuer,
    keys: KEYS[6] ?? fail(),
    ...LIVES[leaf.life],
    uris: names.slice(0, leaf.uris),
    dnsNames: leaf.uris === 0 ? ['web.svc.example'] : [],
    constraints: basicConstraints({ isCa: leaf.isCa }),
    keyUsage: LEAF_USAGE[leaf.usage],
    breakSignature: leaf.breakSignature,
    more: leaf.oddCritical ? [ODD] : [],
  })
}

function strangers(count: number): Forged[] {
  return Array.from({ length: count }, (_, index) =>
    forge({ subject: `stranger ${index}`, keys: KEYS[5] ?? fail(), extensions: [] }),
  )
}

function shuffled<T>(items: readonly T[], by: readonly number[]): T[] {
  return items
    .map((item, index) => ({ item, order: by[index] ?? index }))
    .toSorted((one, other) => one.order - other.order)
    .map(({ item }) => item)
}

function fail(): never {
  throw new Error('a chain has at least one authority')
}
