import { readFileSync } from 'node:fs'
import t from 'tap'
import { compare } from '../../../src/cli/declarative/compare.ts'
import { type JsonRecord, pick } from '../../../src/cli/declarative/json-schema.ts'
import { findKind, KINDS } from '../../../src/cli/declarative/kinds.ts'
import { ApiDescription } from '../../../src/cli/declarative/schemas.ts'

const file = new URL('../../../openapi/openapi.json', import.meta.url)
const description = new ApiDescription(JSON.parse(readFileSync(file, 'utf8')))

function compared(word: string, live: JsonRecord, wanted: JsonRecord) {
  const kind = findKind(word)
  if (kind === undefined) throw new Error(word)
  const { nameMember } = kind
  return compare({ wanted, live, nameMember, ...description.of(kind) })
}

const relationship = (live: JsonRecord, wanted: JsonRecord) =>
  compared('Relationship', live, wanted)

t.test('every kind finds its bodies in the description of the API', async (t) => {
  for (const kind of KINDS) {
    const { create, change } = description.of(kind)
    t.ok(create.properties?.[kind.nameMember], kind.kind)
    t.ok(change.properties, kind.kind)
  }
  const none = { kind: 'Rule', collection: '/meshes/{meshId}/nothing', nameMember: 'name' }
  t.throws(() => description.of(none), /knows no documents of kind Rule/)
  t.throws(() => new ApiDescription({}), /does not describe its API/)
})

t.test('the same value in another form is no difference', async (t) => {
  for (const [live, wanted] of [
    [{ reviewAt: '2027-01-31T00:00:00.000Z' }, { reviewAt: '2027-01-31T01:00:00+01:00' }],
    [{ labels: { a: '1', b: '2' } }, { labels: { b: '2', a: '1' } }],
    [{ labels: {} }, {}],
    [
      { domains: [{ trustDomain: 'a', source: 'x' }, { trustDomain: 'b' }] },
      { domains: [{ trustDomain: 'b' }, { trustDomain: 'a', source: 'x' }] },
    ],
  ] as const) {
    t.same(relationship(live, wanted), { changes: [], patch: {}, pinned: [] })
  }
})

t.test('what a document leaves out is taken away where the API can take it away', async (t) => {
  const live = {
    note: 'x',
    labels: { a: '1' },
    hintMaxSeconds: 60,
    reviewAt: '2027-01-31T00:00:00Z',
    changePolicy: 'approve',
    peerMeshName: 'globex',
  }
  const { patch, changes, pinned } = relationship(live, {})
  t.same(patch, { note: null, labels: null, hintMaxSeconds: null, reviewAt: null })
  t.same(
    changes.map((change) => [change.field, 'after' in change]),
    [
      ['note', false],
      ['labels', false],
      ['reviewAt', false],
      ['hintMaxSeconds', false],
    ],
    'a policy stays: leaving it out must not loosen it',
  )
  t.same(pinned, [])
  const settings = { hintSeconds: 60, rootSeconds: 40_000_000 }
  t.same(compared('Mesh', { settings, displayName: 'Acme' }, {}).changes, [])
  t.same(compared('Mesh', { settings }, { settings: { hintSeconds: 90 } }), {
    changes: [{ field: 'settings.hintSeconds', before: 60, after: 90 }],
    patch: { settings: { hintSeconds: 90 } },
    pinned: [],
  })
})

t.test('labels are changed one by one, and each that goes is named', async (t) => {
  const live = { labels: { old: '1', tier: 'gold' } }
  const { changes, patch } = relationship(live, { labels: { tier: 'silver', new: '2' } })
  t.same(patch, { labels: { old: null, tier: 'silver', new: '2' } })
  t.same(changes, [
    { field: 'labels.old', before: '1' },
    { field: 'labels.tier', before: 'gold', after: 'silver' },
    { field: 'labels.new', after: '2' },
  ])
})

t.test('a difference in a domain is told by the domain, and pinned', async (t) => {
  const live = { domains: [{ trustDomain: 'a.example', endpointUrl: 'https://a' }] }
  const moved = relationship(live, {
    domains: [{ trustDomain: 'a.example', endpointUrl: 'https://b' }],
  })
  const field = 'domains[a.example].endpointUrl'
  t.same(moved.pinned, [{ field, before: 'https://a', after: 'https://b' }])
  t.same(moved.patch, {})
  const other = relationship(live, { domains: [{ trustDomain: 'b.example' }] })
  t.same(
    other.pinned.map((change) => [change.field, 'before' in change, 'after' in change]),
    [
      ['domains[a.example]', true, false],
      ['domains[b.example]', false, true],
    ],
  )
})

t.test('the order of the members of a group is their rank', async (t) => {
  const members = [{ relationship: 'globex' }, { self: true }]
  const { patch } = compared('PeerGroup', { members }, { members: members.toReversed() })
  t.same(patch, { members: members.toReversed() })
})

t.test('a view is reduced to what a body can carry', async (t) => {
  const kind = findKind('Relationship')
  if (kind === undefined) throw new Error('Relationship')
  const { create } = description.of(kind)
  const view = {
    name: 'globex',
    state: 'active',
    note: null,
    hintMaxSeconds: 60,
    domains: [
      {
        trustDomain: 'globex.example',
        source: 'https_web',
        endpointUrl: 'https://globex.example',
        endpointSpiffeId: null,
        bundle: { n: '1' },
        poll: null,
      },
    ],
  }
  t.same(pick(create, view), {
    name: 'globex',
    hintMaxSeconds: 60,
    domains: [
      {
        trustDomain: 'globex.example',
        source: 'https_web',
        endpointUrl: 'https://globex.example',
      },
    ],
  })
})
