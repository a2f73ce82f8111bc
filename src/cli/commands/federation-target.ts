import { type EndedRelationshipView } from '../../federation/api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { type Column } from '../output.ts'

/** The option of every command that changes something. */
export const DRY_RUN = ['--dry-run', 'show the effect and change nothing'] as const

/** The value of {@link DRY_RUN}. */
export interface DryRun {
  readonly dryRun?: boolean
}

/** The path of a relationship. */
export async function relationshipPath(cli: Cli, name: string): Promise<string> {
  return path`/meshes/${await cli.meshId()}/relationships/${name}`
}

/** The columns of what breaks when a relationship ends or is withheld. */
export const effectColumns: readonly Column<EndedRelationshipView['ended'][number]>[] = [
  { title: 'WHAT', value: ({ kind, name }) => `${kind} ${name}` },
  { title: 'EFFECT', value: ({ effect }) => effect },
]
