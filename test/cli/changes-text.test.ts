import t from 'tap'
import { sayChanges } from '../../src/cli/commands/changes-text.ts'
import { type PeerChangesView } from '../../src/federation/group/peer-changes-api.ts'

type Changes = PeerChangesView['peers'][number]

const NONE = { visible: 0, hidden: 0, renamed: 0, allowed: 0, denied: 0 }

function changes(peer: string, more: Partial<Changes> = {}): Changes {
  const items = [{ kind: 'visible' as const, subject: 'shop/cart', who: ['*', 'port http'] }]
  return { peer, direction: 'export', counts: { ...NONE, visible: 1 }, items, ...more }
}

t.test('what is cut says of how many it is the first, and of which kinds', async (t) => {
  const counts = { ...NONE, visible: 9_681, denied: 2 }
  t.same(sayChanges({ peers: [changes('globex', { counts })], complete: true }), [
    '  + globex: shop/cart becomes visible (port http)',
    '  these are the first 1 of 9683 for globex: 9681 visible, 2 denied',
  ])
})

t.test('of more than five peers each has one line', async (t) => {
  const peers = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => changes(name))
  const lines = sayChanges({ peers, complete: false })
  t.equal(lines.length, 7)
  t.equal(lines[5], '  f: 1 visible, such as shop/cart')
  t.match(lines[6], /only the first services of each were compared/)
})

t.test('whose services they are is said where both directions can be meant', async (t) => {
  const items = [{ kind: 'denied' as const, subject: 'identity /evil/*', who: ['cluster east'] }]
  const peers = [
    changes('self'),
    changes('globex'),
    changes('globex', { direction: 'import', counts: { ...NONE, denied: 1 }, items }),
  ]
  t.same(sayChanges({ peers, complete: true }, { direction: true }), [
    '  + to this mesh: shop/cart becomes visible (port http)',
    '  + to globex: shop/cart becomes visible (port http)',
    '  - from globex: identity /evil/* becomes denied (cluster east)',
  ])
})
