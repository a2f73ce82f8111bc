import { usageFailure } from '../failure.ts'

/** Namespace and name of a service as people write it; throws a usage failure. */
export function readServiceName(text: string): { namespace: string; name: string } {
  const [namespace = '', name = '', ...rest] = text.split('/')
  if (namespace !== '' && name !== '' && rest.length === 0) return { namespace, name }
  throw usageFailure(`"${text}" is no service`, 'write it as namespace/name, for example shop/cart')
}

/** Gathers the values of an option that may be repeated. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}
