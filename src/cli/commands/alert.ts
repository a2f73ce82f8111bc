import { type Command, Option } from 'commander'
import { type AlertView } from '../../federation/alert/alert-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { type Column, table } from '../output.ts'

interface ListOptions {
  readonly all?: boolean
  readonly minSeverity?: string
  readonly code?: string
}

/** `alert`: what somebody must know of. */
export function registerAlert(program: Command, cli: Cli): void {
  const alert = program.command('alert').description('conditions that somebody must know of')
  alert
    .command('list')
    .description('list open alerts, the newest first; with a mesh those of that mesh only')
    .option('--all', 'those that ended within 90 days, too')
    .addOption(
      new Option('--min-severity <severity>', 'those at least this urgent').choices([
        'info',
        'warning',
        'critical',
      ]),
    )
    .option('--code <code>', 'those of this code')
    .action((options: ListOptions) => list(cli, options))
}

async function list(cli: Cli, { all, minSeverity, code }: ListOptions): Promise<void> {
  const mesh = cli.meshOption()
  const target = mesh === undefined ? '/alerts' : path`/meshes/${mesh}/alerts`
  const state = all === true ? 'all' : 'open'
  const found = await cli.list<AlertView>(target, { state, minSeverity, code })
  cli.printTable(table(found, columns({ mesh, all }), 'no alerts'))
}

function columns(shown: {
  readonly mesh: string | undefined
  readonly all: boolean | undefined
}): Column<AlertView>[] {
  const found: Column<AlertView>[] = [
    { title: 'SEVERITY', value: ({ severity }) => severity },
    { title: 'CODE', value: ({ code }) => code },
    { title: 'OBJECT', value: ({ object }) => object },
    { title: 'SINCE', value: ({ raisedAt }) => raisedAt },
    { title: 'MESSAGE', value: ({ message }) => message },
  ]
  if (shown.mesh === undefined) {
    found.splice(2, 0, { title: 'MESH', value: ({ meshId }) => meshId ?? '-' })
  }
  if (shown.all === true) {
    found.splice(-1, 0, { title: 'UNTIL', value: ({ clearedAt }) => clearedAt ?? '-' })
  }
  return found
}
