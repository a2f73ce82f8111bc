import type { ChangeContext } from '../audit/record.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { Mesh } from './mesh.ts'

/** What somebody is about to end. */
export interface EndingTarget {
  readonly kind: 'mesh'
  readonly meshId: MeshId
}

/** Something that would end or break with a target. */
export interface Dependant {
  /** What it is: relationship, entry, service, … */
  readonly kind: string
  readonly name: string
  /** What happens to it, in words. */
  readonly effect: string
  /** Whether the target may only be ended by force while this exists. */
  readonly blocks: boolean
}

/** Tells what would end with a target; each higher feature hands one in. */
export type Dependants = (db: Db, target: EndingTarget) => Promise<readonly Dependant[]>

/** Gives a new mesh what it needs, in the transaction that makes it: authorities, bundle, posture rules. */
export type Founder = (trx: Db, mesh: Mesh, context: ChangeContext) => Promise<void>

/** Follows a change of a mesh's settings, in its transaction. */
export type SettingsFollower = (trx: Db, mesh: Mesh, context: ChangeContext) => Promise<void>

/** Relationships of a mesh that lead into another environment, and the commands that would keep both apart. */
export interface Crossings {
  /** Names of relationships. */
  readonly relationships: readonly string[]
  readonly next: readonly string[]
}

/** Tells which relationships of a mesh lead into another environment although no rule keeps both apart. */
export type FindCrossings = (db: Db, mesh: Mesh) => Promise<Crossings>

/** Ends what of a mesh others hold on to, in the transaction that deletes it and before its rows go. */
export type MeshEnder = (trx: Db, meshId: MeshId, context: ChangeContext) => Promise<void>
