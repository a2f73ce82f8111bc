import t from 'tap'
import { ACTIONS, type Action, ROLES, isAction } from '../../src/access/actions.ts'
import { SCOPES_OF_ROLE, mayGrant } from '../../src/access/may-grant.ts'
import { type Grant, type Place, type Scope, isAllowed } from '../../src/access/principal.ts'

const actions = Object.keys(ACTIONS).filter(isAction)

const MESHES = ['acme', 'globex']
const SCOPES: Scope[] = [
  { kind: 'everything' },
  ...MESHES.flatMap((meshId): Scope[] => [
    { kind: 'mesh', meshId },
    ...[['a'], ['b'], ['a', 'b']].flatMap((names): Scope[] => [
      { kind: 'clusters', meshId, names },
      { kind: 'namespaces', meshId, names },
    ]),
  ]),
]
const GRANTS: Grant[] = SCOPES.flatMap((scope) =>
  ROLES.filter((role) => SCOPES_OF_ROLE[role].includes(scope.kind)).map((role) => ({
    role,
    scope,
  })),
)
/** Every place that a request can be about here. */
const PLACES: Place[] = [
  {},
  ...MESHES.flatMap((meshId) => [
    { meshId },
    ...['a', 'b', 'c'].flatMap((name) => [
      { meshId, cluster: name },
      { meshId, namespace: name },
    ]),
  ]),
]
const MAKERS: readonly string[] = ACTIONS['grant.create'].roles

/** What a grant allows, by trying every action at every place: knows nothing of how scopes are compared. */
function powers(grant: Grant): Set<string> {
  return new Set(
    actions.flatMap((action) => {
      // Without a mesh these are asked as "in some mesh", which says nothing of which one.
      const places = ACTIONS[action].scope === 'some-mesh' ? someMesh(grant) : PLACES
      return places
        .filter((place) => isAllowed([grant], action, place) && isExact(action, place))
        .map((place) => `${action} ${JSON.stringify(place)}`)
    }),
  )
}

function someMesh({ scope }: Grant): Place[] {
  return scope.kind === 'everything'
    ? [{}, ...MESHES.map((meshId) => ({ meshId }))]
    : [scope].map(({ meshId }) => ({ meshId }))
}

/** A question for a cluster or namespace that names none asks for "some of them": no power by itself. */
function isExact(action: Action, { cluster, namespace }: Place): boolean {
  const { scope } = ACTIONS[action]
  if (scope === 'cluster') return cluster !== undefined
  if (scope === 'namespace') return namespace !== undefined
  return cluster === undefined && namespace === undefined
}

t.test(
  'nobody grants more than they hold: all pairs of grants, by trying every action',
  async (t) => {
    t.ok(GRANTS.length > 25)
    const all = new Map(GRANTS.map((grant) => [grant, powers(grant)]))
    let given = 0
    for (const own of GRANTS) {
      for (const wanted of GRANTS) {
        const isMaker = MAKERS.includes(own.role)
        const covers = [...(all.get(wanted) ?? [])].every((power) => all.get(own)?.has(power))
        const may = mayGrant([own], wanted)
        if (may) given += 1
        if (may !== (isMaker && covers)) t.fail(`${textOf(own)} gives ${textOf(wanted)}: ${may}`)
      }
    }
    t.ok(given > 30, `${given} of ${GRANTS.length ** 2} pairs are allowed`)
  },
)

t.test('only a platform-admin makes another one, and a mesh-admin stays in the mesh', async (t) => {
  const admin: Grant = { role: 'mesh-admin', scope: { kind: 'mesh', meshId: 'acme' } }
  for (const wanted of GRANTS) {
    const inAcme = wanted.scope.kind !== 'everything' && wanted.scope.meshId === 'acme'
    t.equal(mayGrant([admin], wanted), inAcme, textOf(wanted))
  }
})

t.test(
  'two grants do not add up to a third, and reading everything gives nothing away',
  async (t) => {
    const held: Grant[] = [
      { role: 'mesh-admin', scope: { kind: 'mesh', meshId: 'acme' } },
      { role: 'auditor', scope: { kind: 'everything' } },
    ]
    t.notOk(mayGrant(held, { role: 'auditor', scope: { kind: 'everything' } }))
    t.notOk(mayGrant(held, { role: 'auditor', scope: { kind: 'mesh', meshId: 'globex' } }))
    t.ok(mayGrant(held, { role: 'auditor', scope: { kind: 'mesh', meshId: 'acme' } }))
  },
)

function textOf({ role, scope }: Grant): string {
  return `${role} ${JSON.stringify(scope)}`
}
