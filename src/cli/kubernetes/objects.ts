import { messageOf, quoted } from '../../errors.ts'
import { usageFailure } from '../failure.ts'

/** What of Kubernetes objects is looked at; anything may be missing, and what has another type counts as missing. */
export interface KubernetesObjects {
  readonly services: readonly KubernetesObject[]
  readonly slices: readonly KubernetesObject[]
  readonly pods: readonly KubernetesObject[]
  readonly nodes: readonly KubernetesObject[]
}

/** An object with its metadata read. */
export interface KubernetesObject {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly labels: ReadonlyMap<string, string>
  /** The whole object. */
  readonly body: JsonObject
}

/** A JSON object of unknown shape; members are read by {@link objectAt} and its kind. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Bytes of one file: the objects of a cluster with tens of thousands of pods. */
export const MAX_FILE_BYTES = 256 * 1024 * 1024

const KINDS = {
  Service: 'services',
  EndpointSlice: 'slices',
  Pod: 'pods',
  Node: 'nodes',
} as const satisfies Record<string, keyof KubernetesObjects>

/**
 * The objects in what `kubectl get … -o json` printed: a list, or one object; kinds that are not looked at are passed
 * over. Throws a failure with exit code 2 that says what the file is instead.
 */
export function readObjects(bytes: Uint8Array, file: string): KubernetesObjects {
  const found = { services: [], slices: [], pods: [], nodes: [] } as Record<
    keyof KubernetesObjects,
    KubernetesObject[]
  >
  for (const item of itemsIn(bytes, file)) {
    const kind = textAt(item, 'kind')
    const list = Object.hasOwn(KINDS, kind) ? KINDS[kind as keyof typeof KINDS] : undefined
    const object = list === undefined ? undefined : objectOf(item)
    if (list !== undefined && object !== undefined) found[list].push(object)
  }
  return found
}

/** The objects of several files together. */
export function joinObjects(all: readonly KubernetesObjects[]): KubernetesObjects {
  return {
    services: all.flatMap(({ services }) => services),
    slices: all.flatMap(({ slices }) => slices),
    pods: all.flatMap(({ pods }) => pods),
    nodes: all.flatMap(({ nodes }) => nodes),
  }
}

/** A member that is an object; else one without members. */
export function objectAt(object: JsonObject, name: string): JsonObject {
  const value = memberOf(object, name)
  return isObject(value) ? value : {}
}

/** The objects in a member that is an array; else none. */
export function objectsAt(object: JsonObject, name: string): JsonObject[] {
  const value = memberOf(object, name)
  return Array.isArray(value) ? value.filter(isObject) : []
}

/** A member that is a text; else the empty one. */
export function textAt(object: JsonObject, name: string): string {
  const value = memberOf(object, name)
  return typeof value === 'string' ? value : ''
}

/** The texts in a member that is an array; else none. */
export function textsAt(object: JsonObject, name: string): string[] {
  const value = memberOf(object, name)
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

/** A member that is a port number; else undefined. */
export function portAt(object: JsonObject, name: string): number | undefined {
  const value = memberOf(object, name)
  const isPort = typeof value === 'number' && Number.isInteger(value)
  return isPort && value >= 1 && value <= 65_535 ? value : undefined
}

/** A member that is true or false; else undefined, which for Kubernetes means unknown. */
export function flagAt(object: JsonObject, name: string): boolean | undefined {
  const value = memberOf(object, name)
  return typeof value === 'boolean' ? value : undefined
}

/** The members of an object whose values are texts. */
export function textsOf(object: JsonObject): Map<string, string> {
  const texts = new Map<string, string>()
  for (const [key, value] of Object.entries(object)) {
    if (typeof value === 'string') texts.set(key, value)
  }
  return texts
}

function itemsIn(bytes: Uint8Array, file: string): JsonObject[] {
  const shown = file === '-' ? 'stdin' : file
  if (bytes.length > MAX_FILE_BYTES) {
    throw usageFailure(
      `${shown} has ${bytes.length} bytes, at most ${MAX_FILE_BYTES} are read`,
      NEXT,
    )
  }
  const value = parse(bytes, shown)
  if (!isObject(value)) throw usageFailure(`${shown} holds no JSON object`, NEXT)
  const kind = textAt(value, 'kind')
  if (!kind.endsWith('List')) {
    if (Object.hasOwn(KINDS, kind)) return [value]
    const found = kind === '' ? 'no kind' : `kind ${quoted(kind)}`
    throw usageFailure(`${shown} has ${found}, wanted a List`, NEXT)
  }
  if (!Array.isArray(memberOf(value, 'items'))) {
    throw usageFailure(`${shown} is a ${kind} without items`, NEXT)
  }
  // Items of a list by one kind (as the API serves it) leave their own kind out.
  const own = kind.slice(0, -'List'.length)
  return objectsAt(value, 'items').map((item) =>
    textAt(item, 'kind') === '' && own !== '' ? { ...item, kind: own } : item,
  )
}

const NEXT = 'kubectl get services,endpointslices,pods,nodes --all-namespaces -o json'

function parse(bytes: Uint8Array, shown: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    const [first = ''] = messageOf(cause).split('\n', 1)
    throw usageFailure(`${shown} is no JSON: ${first.slice(0, 200)}`, NEXT)
  }
}

function objectOf(body: JsonObject): KubernetesObject | undefined {
  const metadata = objectAt(body, 'metadata')
  const name = textAt(metadata, 'name')
  if (name === '') return undefined
  const labels = textsOf(objectAt(metadata, 'labels'))
  const [namespace, uid] = [textAt(metadata, 'namespace'), textAt(metadata, 'uid')]
  return { namespace, name, uid, labels, body }
}

function memberOf(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
