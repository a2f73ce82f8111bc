import t from 'tap'
import { ACTIONS, type Action, isAction } from '../../src/access/actions.ts'
import { type Grant, isAllowed } from '../../src/access/principal.ts'

const everything: Grant[] = [{ role: 'platform-admin', scope: { kind: 'everything' } }]
const acme: Grant[] = [{ role: 'mesh-admin', scope: { kind: 'mesh', meshId: 'acme' } }]
const actions = Object.keys(ACTIONS).filter(isAction)

t.test('a grant on everything allows every action', async (t) => {
  for (const action of actions) t.ok(isAllowed(everything, action, { meshId: 'acme' }), action)
})

t.test('a grant on a mesh allows that mesh only, and nothing of the service', async (t) => {
  for (const action of actions) {
    const { scope } = ACTIONS[action]
    t.equal(isAllowed(acme, action, { meshId: 'acme' }), scope !== 'everything', action)
    t.equal(isAllowed(acme, action, { meshId: 'globex' }), scope === 'self', action)
    t.equal(isAllowed(acme, action, {}), scope === 'self', action)
  }
})

t.test('without a grant nothing is allowed but to ask who one is', async (t) => {
  const allowed = actions.filter((action) => isAllowed([], action, { meshId: 'acme' }))
  t.same(allowed, ['whoami.read'])
})

t.test('names that are unique in the service are set by grants on everything only', async (t) => {
  const platform: Action[] = ['mesh.create', 'mesh.list', 'mesh.delete', 'api-token.create']
  for (const action of platform) t.equal(ACTIONS[action].scope, 'everything')
})

t.test('members of Object.prototype are no actions', async (t) => {
  for (const name of ['constructor', '__proto__', 'toString', '', undefined])
    t.notOk(isAction(name))
})
