import fc from 'fast-check'
import t from 'tap'
import { evaluate } from '../../../src/policy/decision/evaluate.ts'
import { converted } from '../../cli/convert/converted.ts'
import { firstMatch, type OssmRule, type OssmService } from './ossm-first-match.ts'
import { AT, smallMesh } from './small-mesh.ts'

const RUNS = { seed: 20261123, numRuns: 1_000 }
const NAMESPACES = ['shop', 'pay', 'ops']
const NAMES = ['cart', 'ledger', 'reviews']
const VALUES = ['a', 'b']

const part = (words: readonly string[]) => fc.constantFrom(undefined, '', '*', ...words)
const NEW_NAMESPACES = ['public', 'shop']
const NEW_NAMES = ['front', 'cart']

const namedOne = fc.record({
  namespace: part(NAMESPACES),
  name: fc.constantFrom(...NAMES),
  alias: fc.option(fc.record({ namespace: part(NEW_NAMESPACES), name: part(NEW_NAMES) }), {
    nil: undefined,
  }),
})
/** One name for many services is refused by the converter, so an alias of many changes the namespace only. */
const namedMany = fc.record({
  namespace: part(NAMESPACES),
  name: fc.constantFrom(undefined, '', '*'),
  alias: fc.option(fc.record({ namespace: part(NEW_NAMESPACES) }), { nil: undefined }),
})
const nameSelector = fc.oneof(namedOne, namedMany)
const expression = fc.oneof(
  fc.record({
    key: fc.constantFrom('app', 'tier'),
    operator: fc.constantFrom('In', 'NotIn'),
    values: fc.subarray(VALUES, { minLength: 1 }),
  }),
  fc.record({
    key: fc.constantFrom('app', 'tier'),
    operator: fc.constantFrom('Exists', 'DoesNotExist'),
  }),
)
const labelSelector = fc.record({
  namespace: part(NAMESPACES),
  selector: fc.record({
    matchLabels: fc.dictionary(fc.constantFrom('app', 'tier'), fc.constantFrom(...VALUES), {
      maxKeys: 1,
      noNullPrototype: true,
    }),
    matchExpressions: fc.array(expression, { maxLength: 2 }),
  }),
  aliases: fc.array(nameSelector, { maxLength: 3 }),
})
const byName = nameSelector.map((one) => ({ type: 'NameSelector' as const, nameSelector: one }))
const byLabels = labelSelector.map((one) => ({
  type: 'LabelSelector' as const,
  labelSelector: one,
}))

const labels = fc.dictionary(fc.constantFrom('app', 'tier'), fc.constantFrom(...VALUES), {
  maxKeys: 2,
  noNullPrototype: true,
})
const services = fc
  .uniqueArray(
    fc.record({
      namespace: fc.constantFrom(...NAMESPACES),
      name: fc.constantFrom(...NAMES),
      labels,
    }),
    { selector: ({ namespace, name }) => `${namespace}/${name}`, minLength: 3, maxLength: 9 },
  )
  .map((all): OssmService[] => all)

function named(all: readonly OssmService[]) {
  return all.map((one) => [`${one.namespace}/${one.name}`, one.labels] as const)
}

t.test(
  'an export list and its translation show the same services under the same names',
  async () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(byName, byLabels), { maxLength: 8 }),
        services,
        (rules, all) => {
          const { documents, refused } = converted(
            'ossm',
            setOf('ExportedServiceSet', { exportRules: rules }),
          )
          const snapshot = smallMesh({ services: named(all), documents })
          for (const service of all) {
            const answer = evaluate(snapshot, { subject: service, to: 'globex', at: AT })
            const ours = answer.decision === 'allow' ? answer.exportedName : undefined
            const theirs = firstMatch(rules as OssmRule[], service)
            if (ours !== theirs)
              throw new Error(`${service.namespace}/${service.name}: ${ours}, OSSM ${theirs}`)
            const other = evaluate(snapshot, { subject: service, to: 'initech', at: AT })
            if (other.decision === 'allow') throw new Error('another peer sees it')
          }
          return refused.length === 0
        },
      ),
      RUNS,
    )
  },
)

t.test('an import list and its translation take the same offers under the same names', async () => {
  fc.assert(
    fc.property(fc.array(byName, { maxLength: 8 }), services, (rules, all) => {
      const { documents, refused } = converted(
        'ossm',
        setOf('ImportedServiceSet', { importRules: rules }),
      )
      const snapshot = smallMesh({ offers: { globex: named(all), initech: named(all) }, documents })
      for (const service of all) {
        const answer = evaluate(snapshot, { subject: service, of: 'globex', at: AT })
        const theirs = firstMatch(rules as OssmRule[], service)
        const [namespace, name] = theirs?.split('/') ?? []
        const wanted = theirs && `${name}.${namespace}.svc.globex.mesh.internal`
        const ours = answer.decision === 'allow' ? answer.hostname : undefined
        if (ours !== wanted)
          throw new Error(`${service.namespace}/${service.name}: ${ours}, OSSM ${wanted}`)
        const other = evaluate(snapshot, { subject: service, of: 'initech', at: AT })
        if (other.decision === 'allow') throw new Error("another peer's is taken")
      }
      return refused.length === 0
    }),
    RUNS,
  )
})

t.test('the comparison would find a translation that forgets the order', async (t) => {
  const rules: OssmRule[] = [
    { type: 'NameSelector', nameSelector: { name: 'cart', alias: { name: 'front' } } },
    { type: 'NameSelector', nameSelector: { alias: { namespace: 'public' } } },
  ]
  const service = { namespace: 'shop', name: 'cart', labels: {} }
  const { documents } = converted('ossm', setOf('ExportedServiceSet', { exportRules: rules }))
  const wrong = documents.map(({ priority, ...rest }) => ({ ...rest, priority: -priority }))
  const nameWith = (all: readonly object[]) =>
    evaluate(smallMesh({ services: ['shop/cart'], documents: all }), {
      subject: service,
      to: 'globex',
      at: AT,
    }).exportedName
  t.equal(nameWith(documents), firstMatch(rules, service))
  t.not(nameWith(wrong), firstMatch(rules, service))
})

function setOf(kind: string, spec: object): object {
  return { kind, metadata: { name: 'globex' }, spec }
}
