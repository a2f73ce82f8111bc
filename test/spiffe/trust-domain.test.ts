import t from 'tap'
import { isServiceError } from '../../src/errors.ts'
import { parseTrustDomain, type TrustDomain } from '../../src/spiffe/trust-domain.ts'
import vectors from '../vectors/trust-domains.json' with { type: 'json' }

const isRefused = (name: string): boolean => {
  try {
    parseTrustDomain(name)
    return false
  } catch (thrown) {
    if (isServiceError(thrown, 'TRUST_DOMAIN_INVALID')) return true
    throw thrown
  }
}

const printedClassTwin = (name: string): boolean => /^[a-z0-9.-_]+$/.test(name)

t.test('ID-04 ID-06 ID-07 ID-09 the table of refused trust domain names is refused', async (t) => {
  for (const { item, name } of vectors.refused)
    t.ok(isRefused(name), `${item} ${JSON.stringify(name)}`)
})

t.test('ID-06 ID-09 the table of good trust domain names is accepted unchanged', async (t) => {
  for (const { item, name } of vectors.accepted) t.equal(parseTrustDomain(name), name, item)
})

t.test('ID-06 of all 256 byte values exactly 39 may stand in a trust domain name', async (t) => {
  const passing = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).filter(
    (character) => !isRefused(`a${character}b`),
  )
  // 26 letters, 10 digits, ".", "-" and "_"
  t.equal(passing.length, 39)
  t.equal(passing.join(''), '-.0123456789_abcdefghijklmnopqrstuvwxyz')
})

t.test(
  'ID-06 the class as printed in the standard, taken as a regex, would pass foreign characters',
  async (t) => {
    t.ok(printedClassTwin('a:b'), 'the wrong twin accepts a port')
    t.notOk(printedClassTwin('a-b'), 'the wrong twin refuses a hyphen')
    t.ok(isRefused('a:b'))
    t.notOk(isRefused('a-b'))
  },
)

const remedyFor = (name: string): unknown => {
  try {
    return parseTrustDomain(name)
  } catch (thrown) {
    return isServiceError(thrown) ? thrown.next : thrown
  }
}

t.test('ID-07 an upper-case name is refused and the lower-case one is proposed', async (t) => {
  t.equal(remedyFor('Prod.Example'), 'did you mean "prod.example"?')
  t.equal(remedyFor('spiffe://acme.example/'), 'did you mean "acme.example"?')
  t.equal(remedyFor('a b'), undefined)
})

t.test('ID-10 names of object members are ordinary keys of a map', async (t) => {
  const map = new Map<TrustDomain, number>()
  map.set(parseTrustDomain('__proto__'), 1).set(parseTrustDomain('constructor'), 2)
  t.equal(map.get(parseTrustDomain('__proto__')), 1)
  t.equal(map.get(parseTrustDomain('acme.example')), undefined)
})

t.test('ID-11 a name of 255 bytes is accepted and one of 256 is refused', async (t) => {
  t.equal(parseTrustDomain('a'.repeat(255)).length, 255)
  t.ok(isRefused('a'.repeat(256)))
})

t.test('a refusal quotes the input cut short', async (t) => {
  t.throws(() => parseTrustDomain('A'.repeat(5000)), { message: /^.{10,250}$/ })
})
