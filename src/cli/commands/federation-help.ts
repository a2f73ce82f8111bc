import { type Command, Option } from 'commander'
import { type InstructionsView } from '../../federation/instruction-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'

interface InstructionOptions {
  readonly side: 'ours' | 'theirs'
  readonly for: InstructionsView['for']
}

/** `federation instructions`: what to paste where. */
export function registerFederationHelp(federation: Command, cli: Cli): void {
  federation
    .command('instructions')
    .description('ready-to-paste configuration for the peer, or for our own control planes')
    .argument('<name>')
    .addOption(
      new Option('--side <side>', 'theirs: to trust us; ours: to read the peer from the relay')
        .choices(['theirs', 'ours'])
        .default('theirs'),
    )
    .addOption(
      new Option('--for <target>', 'where it is pasted')
        .choices(['spire', 'spire-controller-manager', 'istio', 'openshift', 'curl'])
        .makeOptionMandatory(),
    )
    .action((name: string, options: InstructionOptions) => instructions(cli, name, options))
}

async function instructions(cli: Cli, name: string, options: InstructionOptions): Promise<void> {
  const view = await cli.get<InstructionsView>(
    path`/meshes/${await cli.meshId()}/relationships/${name}/instructions`,
    { query: { side: options.side, for: options.for } },
  )
  if (cli.output === 'table') cli.printText(view.text)
  else cli.print(view)
}
