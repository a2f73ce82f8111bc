import { type Command, InvalidArgumentError } from 'commander'
import { type EndedObjects } from '../../mesh/topology/api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { table } from '../output.ts'

/** The collections of a topology. */
export type TopologyCollection = 'clusters' | 'control-planes' | 'networks' | 'gateways'

/** `--dry-run`, as every mutation has it. */
export const DRY_RUN = ['--dry-run', 'show the effect and change nothing'] as const

/** `--locality` in words. */
export const LOCALITY = [
  '--locality <region/zone/subzone>',
  'where it is; zone and subzone may be left out',
] as const

/** A locality as options and API have it. */
export interface LocalityOption {
  readonly region?: string
  readonly zone?: string
  readonly subzone?: string
}

/** Reads `region[/zone[/subzone]]`; empty means nowhere known. */
export function readLocality(text: string): LocalityOption {
  if (text === '') return {}
  const [region = '', zone, subzone, ...rest] = text.split('/')
  const isWhole = region !== '' && zone !== '' && subzone !== '' && rest.length === 0
  if (!isWhole) throw new InvalidArgumentError('write it as region/zone/subzone, or less of it')
  return {
    region,
    ...(zone === undefined ? {} : { zone }),
    ...(subzone === undefined ? {} : { subzone }),
  }
}

/** Reads names with commas between; empty means none. */
export function readNames(text: string): string[] {
  return text === '' ? [] : text.split(',').map((name) => name.trim())
}

/** Reads a whole number of up to six digits; the service knows its limits. */
export function readCount(text: string): number {
  if (/^[0-9]{1,6}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('write a whole number')
}

/** Reads how often something promises to be heard; 0 promises none. */
export function readHeartbeat(text: string): number | null {
  const seconds = readCount(text)
  return seconds === 0 ? null : seconds
}

/** A locality on one line. */
export function placeOf({ region, zone, subzone }: LocalityOption): string {
  return [region, zone, subzone].filter((part) => part !== undefined).join('/')
}

/** Whether something is heard, on one line. */
export function heardOf(view: {
  readonly heartbeatSeconds: number | null
  readonly seenAt: string | null
  readonly isHeard: boolean
}): string {
  if (view.heartbeatSeconds === null) return 'promises no heartbeat'
  if (view.seenAt === null) return 'never heard'
  return `${view.isHeard ? 'heard' : 'SILENT since'} ${view.seenAt}`
}

/** Where a collection, or one object of it, is in the mesh that the command means. */
export async function topologyPath(
  cli: Cli,
  collection: TopologyCollection,
  name?: string,
): Promise<string> {
  const meshId = await cli.meshId()
  const whole = path`/meshes/${meshId}/${collection}`
  return name === undefined ? whole : whole + path`/${name}`
}

/** The commands `drain`, `disable` and `activate` of an object with an operating state. */
export function registerStates(
  noun: Command,
  cli: Cli,
  {
    collection,
    print,
  }: {
    readonly collection: TopologyCollection
    readonly print: (view: unknown) => void
  },
): void {
  const isCluster = collection === 'clusters'
  const states = [
    ['drain', 'draining', 'take it out of use softly: it is used only where nothing else is'],
    [
      'disable',
      'disabled',
      `take it out of use${isCluster ? ': no traffic, no SVIDs for it' : ''}`,
    ],
    ['activate', 'active', 'put it into use'],
  ] as const
  for (const [verb, state, description] of states) {
    noun
      .command(verb)
      .description(description)
      .argument('<name>')
      .option(...DRY_RUN)
      .action(async (name: string, { dryRun }: { dryRun?: boolean }) => {
        const target = await topologyPath(cli, collection, name)
        print(await cli.patch(target, { state }, { query: { dryRun } }))
      })
  }
}

/** How an object is deleted. */
export interface DeleteOptions {
  readonly force?: boolean
  readonly dryRun?: boolean
}

/** Deletes an object of a topology and prints what ended, or would end, with it. */
export async function deleteObject(
  cli: Cli,
  { collection, name }: { readonly collection: TopologyCollection; readonly name: string },
  query: DeleteOptions,
): Promise<void> {
  const target = await topologyPath(cli, collection, name)
  const answer = await cli.delete<{ ended: EndedObjects }>(target, { query: { ...query } })
  if (cli.output !== 'table') {
    cli.print(answer)
    return
  }
  cli.say(`${name} ${query.dryRun === true ? 'would be' : 'is'} deleted; with it:`)
  cli.printTable(
    table(
      answer.ended,
      [
        { title: 'WHAT', value: (one) => `${one.kind} ${one.name}` },
        { title: 'EFFECT', value: ({ effect }) => effect },
        { title: 'NEEDS FORCE', value: ({ blocks }) => (blocks ? 'yes' : 'no') },
      ],
      'nothing else',
    ),
  )
}
