import t from 'tap'
import { evaluate } from '../../../src/policy/decision/evaluate.ts'
import { type RuleDraft } from '../../../src/policy/rule/rule.ts'
import { parseSpiffeId } from '../../../src/spiffe/spiffe-id.ts'
import { AT, seenBy, smallMesh } from './small-mesh.ts'

/** Machines and bare services: identities in no namespace, all services under one name. */
const DB: RuleDraft = {
  direction: 'export',
  effect: 'allow',
  subject: { namespace: 'all', name: 'db' },
  audience: { kind: 'self', callers: { paths: ['/vm/web'] } },
}

const ask = (rules: readonly RuleDraft[]) => {
  const mesh = smallMesh({ services: ['all/db', 'all/web'], rules })
  return (path: string, cluster: string) => {
    const caller = parseSpiffeId(`spiffe://acme.example${path}`)
    const subject = { namespace: 'all', name: 'db' }
    return evaluate(mesh, { subject, caller, cluster, at: AT }).decision
  }
}

t.test('55 without namespaces tenants are told apart by identity and by cluster', async (t) => {
  const everywhere = ask([DB])
  t.equal(everywhere('/vm/web', 'east'), 'allow')
  t.equal(
    everywhere('/vm/batch', 'east'),
    'deny',
    'an identity needs no namespace to be told apart',
  )
  const eastOnly = ask([{ ...DB, clusters: ['east'] }])
  t.equal(eastOnly('/vm/web', 'east'), 'allow')
  t.equal(eastOnly('/vm/web', 'west'), 'deny', 'the same identity elsewhere is another tenant')
  const closed = ask([DB, { ...DB, effect: 'deny', clusters: ['west'] }])
  t.equal(closed('/vm/web', 'east'), 'allow')
  t.equal(closed('/vm/web', 'west'), 'deny')
})

t.test('55 without namespaces a mesh exposes a service by its name alone', async (t) => {
  const audience = { kind: 'peers', relationships: ['globex'] } as const
  const mesh = smallMesh({ services: ['all/db', 'all/web'], rules: [{ ...DB, audience }] })
  t.same(seenBy(mesh, 'globex'), ['all/db'])
  t.same(seenBy(mesh, 'initech'), [])
})
