import t from 'tap'
import { ACTIONS, type Action, type Role, isAction } from '../../src/access/actions.ts'
import { type Grant, type Scope, isAllowed, scopeText } from '../../src/access/principal.ts'

const everything: Grant[] = [{ role: 'platform-admin', scope: { kind: 'everything' } }]
const acme: Grant[] = [{ role: 'mesh-admin', scope: { kind: 'mesh', meshId: 'acme' } }]
const actions = Object.keys(ACTIONS).filter(isAction)

t.test('a platform-admin may do everything', async (t) => {
  for (const action of actions) t.ok(isAllowed(everything, action, { meshId: 'acme' }), action)
})

t.test('a mesh-admin has one whole mesh, and nothing of the service', async (t) => {
  for (const action of actions) {
    const { scope } = ACTIONS[action]
    const isMine = scope !== 'everything'
    t.equal(isAllowed(acme, action, { meshId: 'acme' }), isMine, action)
    // The handler leaves out other meshes where none is named.
    const isOpen = scope === 'self' || scope === 'some-mesh'
    t.equal(isAllowed(acme, action, { meshId: 'globex' }), isOpen, action)
    t.equal(isAllowed(acme, action, {}), isOpen, action)
  }
})

t.test(
  'without a grant nothing is allowed but to ask who one is and to see an empty list',
  async (t) => {
    const allowed = actions.filter((action) => isAllowed([], action, { meshId: 'acme' }))
    t.same(allowed, ['mesh.list', 'whoami.read'])
  },
)

t.test('names that are unique in the service are set by grants on everything only', async (t) => {
  const platform: Action[] = ['mesh.create', 'mesh.move', 'mesh.delete', 'trust-domain.manage']
  for (const action of platform) {
    t.match(ACTIONS[action], { scope: 'everything', roles: ['platform-admin'] }, action)
  }
})

t.test('an auditor reads and changes nothing, whatever the scope', async (t) => {
  const reads = /(^|\.)(list|read|verify|deliveries|explain|resolve|lint)$/
  const scopes: Scope[] = [
    { kind: 'everything' },
    { kind: 'mesh', meshId: 'acme' },
    { kind: 'namespaces', meshId: 'acme', names: ['shop'] },
    { kind: 'clusters', meshId: 'acme', names: ['eu'] },
  ]
  for (const scope of scopes) {
    const held: Grant[] = [{ role: 'auditor', scope }]
    for (const action of actions) {
      if (isAllowed(held, action, { meshId: 'acme' })) t.match(action, reads, scopeText(scope))
    }
  }
})

t.test('a grant on parts of a mesh is good for those parts and what all members see', async (t) => {
  const developer = held('developer', { kind: 'namespaces', meshId: 'acme', names: ['shop'] })
  const place = { meshId: 'acme', namespace: 'shop' }
  t.ok(isAllowed(developer, 'service.update', place))
  t.notOk(isAllowed(developer, 'service.update', { ...place, namespace: 'pay' }))
  t.notOk(isAllowed(developer, 'service.update', { ...place, meshId: 'globex' }))
  t.ok(isAllowed(developer, 'service.list', { meshId: 'acme' }), 'of some namespace')
  t.ok(isAllowed(developer, 'relationship.list', { meshId: 'acme' }))
  t.notOk(isAllowed(developer, 'relationship.list', { meshId: 'globex' }))
  for (const action of ['authority.prepare', 'entry.create', 'entry.list'] as const) {
    t.notOk(isAllowed(developer, action, { meshId: 'acme' }), action)
  }
  const operator = held('cluster-admin', { kind: 'clusters', meshId: 'acme', names: ['eu'] })
  t.ok(isAllowed(operator, 'entry.create', { meshId: 'acme', cluster: 'eu' }))
  t.notOk(isAllowed(operator, 'entry.create', { meshId: 'acme', cluster: 'us' }))
  t.notOk(isAllowed(operator, 'service.list', { meshId: 'acme' }))
})

t.test('members of Object.prototype are no actions', async (t) => {
  for (const name of ['constructor', '__proto__', 'toString', '', undefined])
    t.notOk(isAction(name))
})

function held(role: Role, scope: Scope): Grant[] {
  return [{ role, scope }]
}
