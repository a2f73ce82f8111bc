import { fits, type Pattern } from './pattern.ts'

/** Who in an audience is meant: a caller fits when one of the patterns does. */
export interface Callers {
  readonly namespaces: readonly Pattern[]
  readonly paths: readonly Pattern[]
}

/** A caller as rules see one: the path of its SPIFFE ID and the namespace that path names, if any. */
export interface CallerFacts {
  readonly path: string
  readonly namespace: string | undefined
}

/** Whether a caller is one of those meant; nobody named means everybody. */
export function isMeant(callers: Callers | undefined, caller: CallerFacts): boolean {
  if (callers === undefined) return true
  const { namespace, path } = caller
  if (callers.paths.some((pattern) => fits(pattern, path))) return true
  return namespace !== undefined && callers.namespaces.some((pattern) => fits(pattern, namespace))
}

/**
 * What rules look at in the path of a SPIFFE ID: all of it, and the namespace of `/ns/<namespace>/…`, the form
 * that Istio and SPIRE's Kubernetes controller give workload identities.
 */
export function callerFacts(path: string): CallerFacts {
  const [root, first, namespace, rest] = path.split('/', 4)
  const isNamed = root === '' && first === 'ns' && rest !== undefined
  return { path, namespace: isNamed ? namespace : undefined }
}

/** Callers as patterns for the path of a SPIFFE ID; `*` is everybody. */
export function callerPaths(callers: Callers | undefined): string[] {
  if (callers === undefined) return ['*']
  const ofNamespaces = callers.namespaces.map(({ literal, wild }) =>
    wild ? `/ns/${literal}*` : `/ns/${literal}/*`,
  )
  return [...ofNamespaces, ...callers.paths.map(({ text }) => text)]
}
