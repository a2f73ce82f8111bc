import { type ConsulAudience, mayShareMembers } from './consul-audience.ts'
import { type InputNode } from './input-node.ts'

/** Services by namespace and name; a name is exact only in an exact namespace. */
export interface ServiceScope {
  readonly namespace: string
  readonly name: string
}

/** One source of an intention. */
export interface Intention {
  readonly from: InputNode
  readonly destination: ServiceScope
  readonly source: ServiceScope
  readonly audience: ConsulAudience
  readonly action: 'allow' | 'deny'
}

/** An allow that a deny would outweigh here although Consul puts it first. */
export interface Outweighed {
  readonly allow: Intention
  readonly deny: Intention
}

/** Intentions as rules can have them: decided by deny over allow, and by nothing where none fits. */
export interface Weighed {
  readonly allows: readonly Intention[]
  readonly denies: readonly Intention[]
  readonly outweighed: readonly Outweighed[]
}

/**
 * Rewrites "the most specific decides" as "a deny outweighs every allow".
 *
 * A deny that keeps nobody out but those whom no wider allow lets in goes, since nothing is allowed by default: so
 * a specific allow under a wide deny is left as the narrow allow that it is. A deny that carves out of a wider
 * allow stays. An allow that is more specific still, inside such a deny, cannot be kept and is told.
 */
export function weigh(intentions: readonly Intention[]): Weighed {
  const allows = intentions.filter(({ action }) => action === 'allow')
  const denies = intentions
    .filter(({ action }) => action === 'deny')
    .filter((deny) => allows.some((allow) => overlap(allow, deny) && rank(allow) <= rank(deny)))
  const outweighed = allows.flatMap((allow) => {
    const deny = denies.find((one) => overlap(allow, one) && rank(one) < rank(allow))
    return deny === undefined ? [] : [{ allow, deny }]
  })
  const lost = new Set(outweighed.map(({ allow }) => allow))
  return { allows: allows.filter((allow) => !lost.has(allow)), denies, outweighed }
}

/** The services of both scopes; undefined when there can be none. */
export function scopeOfBoth(a: ServiceScope, b: ServiceScope): ServiceScope | undefined {
  const namespace = partOfBoth(a.namespace, b.namespace)
  const name = partOfBoth(a.name, b.name)
  return namespace === undefined || name === undefined ? undefined : { namespace, name }
}

/** Consul's precedence: the destination first, then the source, each by how much of it is exact. */
function rank({ destination, source }: Intention): number {
  return exactness(destination) * 3 + exactness(source)
}

function exactness({ namespace, name }: ServiceScope): number {
  if (name !== '*') return 2
  return namespace === '*' ? 0 : 1
}

function overlap(a: Intention, b: Intention): boolean {
  return (
    scopeOfBoth(a.destination, b.destination) !== undefined &&
    scopeOfBoth(a.source, b.source) !== undefined &&
    mayShareMembers(a.audience, b.audience)
  )
}

function partOfBoth(a: string, b: string): string | undefined {
  if (a === '*') return b
  return b === '*' || a === b ? a : undefined
}
