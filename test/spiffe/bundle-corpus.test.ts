import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { readDocument } from '../../src/federation/poll/accept-bundle.ts'
import { parseBundle, writeBundle } from '../../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'

/** What `test/vectors/bundles/index.json` says of one document. */
type Vector = { readonly file: string; readonly about: string } & (
  | { readonly verdict: 'malformed'; readonly reason: string }
  | {
      readonly verdict: 'bundle'
      readonly sequence: string | null
      readonly hint: number | null
      readonly x509: number
      readonly jwt: number
      /** A part of the reason why each entry is skipped, in order. */
      readonly skipped: readonly string[]
    }
)

const FOLDER = new URL('../vectors/bundles/', import.meta.url)
const vectors = JSON.parse(readFileSync(new URL('index.json', FOLDER), 'utf8')) as readonly Vector[]
const td = parseTrustDomain('peer.example')

t.test('every document of the corpus is read as its index says', async (t) => {
  for (const vector of vectors) {
    const bytes = new Uint8Array(readFileSync(new URL(vector.file, FOLDER)))
    if (vector.verdict === 'malformed') {
      const message = new RegExp(vector.reason)
      t.throws(() => readDocument(td, bytes), { code: 'BUNDLE_MALFORMED', message }, vector.about)
      continue
    }
    const { bundle, skipped } = readDocument(td, bytes)
    t.same(
      {
        sequence: bundle.sequence?.toString() ?? null,
        hint: bundle.refreshHintSeconds ?? null,
        x509: bundle.x509Authorities.length,
        jwt: bundle.jwtAuthorities.length,
      },
      { sequence: vector.sequence, hint: vector.hint, x509: vector.x509, jwt: vector.jwt },
      vector.about,
    )
    t.equal(skipped.length, vector.skipped.length, vector.about)
    for (const [index, reason] of vector.skipped.entries()) {
      t.match(skipped[index]?.reason, new RegExp(reason), vector.about)
    }
    t.same(parseBundle(td, writeBundle(bundle)).skipped, [], `${vector.about}: written again`)
  }
})

t.test('the index names every document of the corpus', async (t) => {
  const files = readdirSync(FOLDER).filter((file) => file !== 'index.json')
  t.same(vectors.map(({ file }) => file).toSorted(), files.toSorted())
})
