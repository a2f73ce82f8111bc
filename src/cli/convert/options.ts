import { type Draft } from './draft.ts'
import { type InputNode, type Source } from './input-node.ts'

/** The systems whose policy can be converted. */
export const ORIGINS = ['ossm', 'consul', 'mcs'] as const
/** One of {@link ORIGINS}. */
export type Origin = (typeof ORIGINS)[number]

/** What the input does not say. */
export interface ConvertOptions {
  /** The mesh that the documents are for; absent: `apply` asks. */
  readonly mesh?: string | undefined
  /** MCS: the peer group that stands for the cluster set. */
  readonly group: string
  /** MCS: the members of that group, first rank first; none: the group exists already. */
  readonly peers: readonly string[]
  /** Consul: the path of a service's SPIFFE ID, with `{namespace}` and `{name}`. */
  readonly callerPath: string
}

/** How one system's policy becomes rules. */
export interface Converter {
  readonly spelling: Source['spelling']
  /** What helps with a text that is no YAML. */
  readonly hint: string | undefined
  readonly convert: (draft: Draft, documents: readonly InputNode[], options: ConvertOptions) => void
}

/** Kubernetes compares names of members as they are. */
export const asWritten = (member: string): string => member
