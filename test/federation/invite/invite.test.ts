import fc from 'fast-check'
import t from 'tap'
import {
  INVITE_PREFIX,
  inviteHash,
  inviteProof,
  MAX_INVITE_CHARACTERS,
  newInviteSecret,
  parseInvite,
  writeInvite,
} from '../../../src/federation/invite/invite.ts'
import { MAX_SIDE_DOMAINS } from '../../../src/federation/invite/peer-side.ts'
import { createHash } from 'node:crypto'
import { parseEndpointUrl } from '../../../src/spiffe/endpoint-profile.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { FakePeer } from '../../support/fake-peer.ts'
import { sideOf } from './support.ts'

const expiresAt = new Date('2027-01-16T08:00:00Z')
const handshakeUrl = parseEndpointUrl('https://localhost:8443/federation/v1/handshake')

const written = (peer: FakePeer, change: object = {}): string =>
  writeInvite({
    side: sideOf(peer),
    handshakeUrl,
    secret: newInviteSecret(),
    expiresAt,
    expected: undefined,
    ...change,
  })

/** The same invite with other content, its checksum right. */
const withContent = (
  text: string,
  change: (content: Record<string, unknown>) => unknown,
): string => {
  const content = JSON.parse(
    Buffer.from(text.split('.')[1] ?? '', 'base64url').toString(),
  ) as Record<string, unknown>
  return withBody(Buffer.from(JSON.stringify(change(content) ?? content)).toString('base64url'))
}

const withBody = (body: string): string => {
  const checksum = createHash('sha256').update(`${INVITE_PREFIX}.${body}`).digest()
  return `${INVITE_PREFIX}.${body}.${checksum.subarray(0, 6).toString('base64url')}`
}

const refusal = (pasted: string): string | undefined => {
  try {
    parseInvite(pasted)
    return undefined
  } catch (error) {
    return (error as { code?: string }).code
  }
}

t.test('an invite says everything that the other side needs', async (t) => {
  const peer = await FakePeer.open(t, 'acme.example')
  const secret = newInviteSecret()
  const expected = parseTrustDomain('globex.example')
  const read = parseInvite(written(peer, { secret, expected }))
  t.match(read, {
    side: {
      meshName: 'acme',
      domains: [
        {
          trustDomain: 'acme.example',
          profile: 'https_spiffe',
          url: peer.url,
          endpointId: peer.endpointId,
        },
      ],
      exchange: { id: 'spiffe://acme.example/entente/exchange' },
    },
    handshakeUrl,
    expiresAt,
    expected,
  })
  t.same(Buffer.from(read.secret), Buffer.from(secret))
  t.same(
    Buffer.from(read.side.domains[0]?.document ?? ''),
    Buffer.from(peer.document),
    'the bundle comes byte by byte',
  )
})

t.test('an invite that mail wrapped or ended with a line break is read', async (t) => {
  const text = written(await FakePeer.open(t, 'acme.example'))
  t.same(parseInvite(`  ${text.match(/.{1,76}/g)?.join('\r\n')}\n`), parseInvite(text))
})

t.test('one cut short, mistyped or of another kind is told apart', async (t) => {
  const text = written(await FakePeer.open(t, 'acme.example'))
  for (const cut of [text.slice(0, -1), text.slice(0, 1000), text.slice(0, text.length - 9)]) {
    t.throws(() => parseInvite(cut), { code: 'INVITE_INVALID', message: /cut short or changed/ })
  }
  const flipped = text.slice(0, 500) + (text[500] === 'A' ? 'B' : 'A') + text.slice(501)
  t.throws(() => parseInvite(flipped), { message: /cut short or changed/ })
  for (const other of ['', 'entente-join-v1.a.b', 'hello', `${INVITE_PREFIX}x${text}`]) {
    t.throws(() => parseInvite(other), { message: /does not begin with "entente-invite-v1\."/ })
  }
})

t.test('a huge one is refused by its length alone', async (t) => {
  for (const length of [MAX_INVITE_CHARACTERS, 50 * 1024 * 1024]) {
    t.throws(() => parseInvite(`${INVITE_PREFIX}.${'A'.repeat(length)}.x`), {
      code: 'INVITE_INVALID',
      message: /more than 262144 characters/,
    })
  }
  t.throws(() => parseInvite(' '.repeat(10 * MAX_INVITE_CHARACTERS)), { code: 'INVITE_INVALID' })
})

t.test('nothing may be missing, unknown, doubled or of another shape', async (t) => {
  const text = written(await FakePeer.open(t, 'acme.example'))
  type Content = Record<string, unknown> & { domains: Record<string, unknown>[] }
  const spoiled: [string, (content: Content) => unknown][] = [
    ...['mesh', 'domains', 'exchange', 'handshakeUrl', 'secret', 'expiresAt'].map(
      (name): [string, (content: Content) => unknown] => [
        `without ${name}`,
        (content) => ({ ...content, [name]: undefined }),
      ],
    ),
    ...['trustDomain', 'profile', 'url', 'endpointSpiffeId', 'bundle'].map(
      (name): [string, (content: Content) => unknown] => [
        `without the ${name} of a domain`,
        (content) => ({ ...content, domains: [{ ...content.domains[0], [name]: undefined }] }),
      ],
    ),
    ['an unknown member', (content) => ({ ...content, more: 1 })],
    ['no domain', (content) => ({ ...content, domains: [] })],
    [
      'a domain twice',
      (content) => ({ ...content, domains: [...content.domains, ...content.domains] }),
    ],
    [
      'too many domains',
      (content) => ({
        ...content,
        domains: Array.from({ length: MAX_SIDE_DOMAINS + 1 }, () => content.domains[0]),
      }),
    ],
    ['a short secret', (content) => ({ ...content, secret: 'AAAA' })],
    ['an end that is a text', (content) => ({ ...content, expiresAt: '2027' })],
    ['an end in a fraction', (content) => ({ ...content, expiresAt: 1.5 })],
    ['a negative end', (content) => ({ ...content, expiresAt: -1 })],
    ['plain http', (content) => ({ ...content, handshakeUrl: 'http://localhost/x' })],
    ['a name with an escape', (content) => ({ ...content, mesh: 'a\u001b[2J' })],
    ['a long name', (content) => ({ ...content, mesh: 'a'.repeat(201) })],
    ['an expected domain that is none', (content) => ({ ...content, for: 'Globex.Example' })],
    [
      'an endpoint in a domain of somebody else',
      (content) => ({
        ...content,
        domains: [{ ...content.domains[0], endpointSpiffeId: 'spiffe://evil.example/x' }],
      }),
    ],
    [
      'an exchange identity of somebody else',
      (content) => ({
        ...content,
        exchange: { id: 'spiffe://evil.example/entente/exchange', url: 'https://localhost/x' },
      }),
    ],
    [
      'a bundle that is none',
      (content) => ({ ...content, domains: [{ ...content.domains[0], bundle: '[]' }] }),
    ],
    ['a list', () => []],
  ]
  for (const [what, change] of spoiled) {
    const spoilt = withContent(text, change as (content: Record<string, unknown>) => unknown)
    t.throws(() => parseInvite(spoilt), { code: 'INVITE_INVALID' }, what)
  }
  const doubled = Buffer.from('{"mesh":"a","mesh":"b"}').toString('base64url')
  t.throws(() => parseInvite(withBody(doubled)), { message: /invite/ }, 'a member twice')
  t.ok(parseInvite(withContent(text, (content) => content)), 'unspoilt it is read')
})

t.test('whatever somebody pastes is read or refused as an invite', async (t) => {
  const text = written(await FakePeer.open(t, 'acme.example'))
  fc.assert(
    fc.property(fc.string({ maxLength: 300 }), (pasted) => refusal(pasted) === 'INVITE_INVALID'),
    { seed: 4201, numRuns: 300 },
  )
  fc.assert(
    fc.property(fc.json(), (json) => {
      const body = Buffer.from(json).toString('base64url')
      return refusal(withBody(body)) === 'INVITE_INVALID'
    }),
    { seed: 4202, numRuns: 300 },
  )
  fc.assert(
    fc.property(
      fc.nat({ max: text.length - 1 }),
      (at) => refusal(text.slice(0, at)) === 'INVITE_INVALID',
    ),
    { seed: 4203, numRuns: 200 },
  )
})

t.test('a refusal never shows the secret', async (t) => {
  const secret = newInviteSecret()
  const text = written(await FakePeer.open(t, 'acme.example'), { secret })
  const spoilt = withContent(text, (content) => ({ ...content, more: 1 }))
  try {
    parseInvite(spoilt)
    t.fail('it was read')
  } catch (error) {
    t.notMatch(String(error), Buffer.from(secret).toString('base64url'))
  }
})

t.test('what is stored of a secret is no proof of it, and a proof is not the secret', async (t) => {
  const secret = newInviteSecret()
  const proof = inviteProof(secret)
  const stored = inviteHash(proof)
  t.notOk(Buffer.from(proof).equals(Buffer.from(secret)))
  t.notOk(
    Buffer.from(inviteHash(stored)).equals(Buffer.from(stored)),
    'a stored hash proves nothing',
  )
  t.same(inviteHash(inviteProof(secret)), stored)
})

t.test('a mesh whose bundles do not fit into an invite is told so', async (t) => {
  const peer = await FakePeer.open(t, 'acme.example')
  const document = new TextEncoder().encode(`{"keys":[]${' '.repeat(MAX_INVITE_CHARACTERS)}}`)
  const side = sideOf(peer)
  const domains = side.domains.map((domain) => ({ ...domain, document }))
  t.throws(() => written(peer, { side: { ...side, domains } }), {
    code: 'PAYLOAD_TOO_LARGE',
    next: /entente federation add/,
  })
})
