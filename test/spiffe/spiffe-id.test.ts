import fc from 'fast-check'
import t from 'tap'
import { isServiceError } from '../../src/errors.ts'
import {
  bundleEndpointId,
  exchangeId,
  isReserved,
  parseSpiffeId,
  pathOf,
  spiffeIdOf,
  trustDomainId,
  trustDomainOf,
  workloadEndpointId,
} from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { seeded } from '../support/seeded.ts'
import vectors from '../vectors/ids.json' with { type: 'json' }

const td = parseTrustDomain('td')

const isRefused = (text: string): boolean => {
  try {
    parseSpiffeId(text)
    return false
  } catch (thrown) {
    if (isServiceError(thrown, 'SPIFFE_ID_INVALID')) return true
    throw thrown
  }
}

/** The wrong twin of ID-02: it lets a URL class read the text first. */
const urlTwin = (text: string): boolean => {
  try {
    const url = new URL(text)
    const clean = url.search === '' && url.hash === '' && url.username === '' && url.port === ''
    return url.protocol === 'spiffe:' && clean && /^[a-z0-9._-]+$/.test(url.host)
  } catch {
    return false
  }
}

const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte))

t.test(
  'ID-01 ID-03 ID-04 ID-05 ID-06 ID-08 ID-14 ID-15 ID-16 ID-17 the table of bad SPIFFE IDs is refused',
  async (t) => {
    for (const { item, id } of vectors.refused) t.ok(isRefused(id), `${item} ${JSON.stringify(id)}`)
  },
)

t.test('ID-01 ID-09 ID-16 ID-18 the table of good SPIFFE IDs is accepted unchanged', async (t) => {
  for (const { item, id } of vectors.accepted) t.equal(parseSpiffeId(id), id, item)
})

t.test(
  'ID-02 input that a URL parser would repair is refused, and a URL-based twin accepts it',
  async (t) => {
    const traps = vectors.refused.filter(({ item }) => item === 'ID-02').map(({ id }) => id)
    t.ok(traps.length >= 9)
    for (const id of traps) t.ok(isRefused(id), JSON.stringify(id))
    t.ok(traps.filter(urlTwin).length >= 9, 'the wrong twin lets the trap through')
  },
)

t.test('ID-06 of all 256 byte values exactly 39 may stand in the host', async (t) => {
  const passing = bytes.filter((byte) => byte !== '/' && !isRefused(`spiffe://a${byte}b/x`))
  t.equal(passing.length, 39)
})

t.test('ID-14 of all 256 byte values exactly 65 may stand in a path segment', async (t) => {
  const passing = bytes.filter((byte) => byte !== '/' && !isRefused(`spiffe://td/a${byte}b`))
  t.equal(passing.length, 65)
  t.match(passing.join(''), /^[a-zA-Z0-9._-]+$/)
})

t.test(
  'ID-11 a trust domain of 255 bytes is accepted in an ID and one of 256 is refused',
  async (t) => {
    t.notOk(isRefused(`spiffe://${'a'.repeat(255)}/x`))
    t.ok(isRefused(`spiffe://${'a'.repeat(256)}/x`))
  },
)

t.test(
  'ID-12 ID-13 an ID of 2048 bytes with its scheme is accepted and one of 2049 is refused',
  async (t) => {
    const start = 'spiffe://td/'
    const longest = start + 'a'.repeat(2048 - start.length)
    t.equal(parseSpiffeId(longest), longest)
    t.ok(isRefused(`${longest}a`))
  },
)

t.test('ID-08 ID-18 IDs that differ in case only are different and never folded', async (t) => {
  t.not(parseSpiffeId('spiffe://td/ns/Shop'), parseSpiffeId('spiffe://td/ns/shop'))
  t.ok(isRefused('spiffe://TD/ns/shop'))
})

t.test('ID-17 the ID of a trust domain has neither path nor trailing slash', async (t) => {
  t.equal(trustDomainId(td), 'spiffe://td')
  t.equal(pathOf(trustDomainId(td)), '')
  t.ok(isRefused('spiffe://td/'))
})

t.test('an ID comes apart into its trust domain and path and together again', async (t) => {
  for (const { id: text } of vectors.accepted) {
    const id = parseSpiffeId(text)
    t.equal(spiffeIdOf(trustDomainOf(id), pathOf(id)), id)
  }
  t.equal(trustDomainOf(parseSpiffeId('spiffe://acme.example/a/b')), 'acme.example')
  t.equal(pathOf(parseSpiffeId('spiffe://acme.example/a/b')), '/a/b')
})

t.test('a path without a leading slash is refused and the right one is named', async (t) => {
  t.throws(() => spiffeIdOf(td, 'web'), { code: 'SPIFFE_ID_INVALID', next: 'write "/web"' })
  t.throws(() => spiffeIdOf(td, '/a/../b'), { code: 'SPIFFE_ID_INVALID' })
  t.equal(spiffeIdOf(td, ''), 'spiffe://td')
})

t.test('paths under /entente are reserved and paths that only look like it are not', async (t) => {
  for (const make of [bundleEndpointId, workloadEndpointId, exchangeId]) t.ok(isReserved(make(td)))
  t.equal(bundleEndpointId(td), 'spiffe://td/entente/bundle-endpoint')
  t.equal(workloadEndpointId(td), 'spiffe://td/entente/workload-endpoint')
  t.equal(exchangeId(td), 'spiffe://td/entente/exchange')
  t.ok(isReserved(parseSpiffeId('spiffe://td/entente')))
  for (const path of ['', '/ententes', '/Entente/x', '/a/entente', '/web']) {
    t.notOk(isReserved(spiffeIdOf(td, path)), path)
  }
})

t.test(
  'whatever text arrives, the parser answers or refuses, and accepted text obeys the grammar',
  async (t) => {
    const pieces = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('spiffe://', '/', '.', '..', 'td', ':', '@', '%41', '?', '#', 'A', ' '),
    )
    const texts = fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join(''))
    seeded(
      t,
      fc.property(texts, fc.boolean(), (text, prefixed) => {
        const candidate = prefixed ? `spiffe://td/${text}` : text
        const grammar = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[a-zA-Z0-9._-]+)*$/
        // "$" of this grammar stands at the very end only, as no "m" flag is set
        return isRefused(candidate) !== (grammar.test(candidate) && candidate.length <= 2048)
      }),
    )
  },
)
