import { type Command } from 'commander'
import { type EndpointView } from '../../catalog/report-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { table } from '../output.ts'
import { readServiceName } from './service-words.ts'

interface EndpointOptions {
  readonly cluster?: string
  readonly stale?: boolean
}

/** `service endpoints`: where a service listens, as clusters reported it. */
export function registerServiceEndpoints(service: Command, cli: Cli): void {
  service
    .command('endpoints')
    .description('list the endpoints of a service that its clusters reported')
    .argument('<service>', 'namespace/name')
    .option('--cluster <cluster>', 'only of this cluster')
    .option('--stale', 'also those whose reporter has been silent too long')
    .action((name: string, options: EndpointOptions) => listEndpoints(cli, name, options))
}

async function listEndpoints(
  cli: Cli,
  service: string,
  { cluster, stale }: EndpointOptions,
): Promise<void> {
  const endpoints = await cli.list<EndpointView>(path`/meshes/${await cli.meshId()}/endpoints`, {
    ...readServiceName(service),
    cluster,
    stale,
  })
  cli.printTable(
    table(
      endpoints,
      [
        { title: 'CLUSTER', value: (one) => one.cluster },
        { title: 'NETWORK', value: (one) => one.network },
        { title: 'WORKLOAD', value: (one) => one.workloadUid },
        { title: 'ADDRESS', value: addressOf },
        { title: 'PORT', value: (one) => one.portName },
        { title: 'PLACE', value: placeOf },
        { title: 'HEALTHY', value: (one) => one.healthy },
        { title: 'FRESH UNTIL', value: (one) => one.freshUntil },
      ],
      ['no cluster reports endpoints of it', 'entente service sync --help'],
    ),
  )
}

function addressOf({ address, port }: EndpointView): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

function placeOf({ region, zone, subzone }: EndpointView): string {
  return [region, zone, subzone].filter((part) => part !== null).join('/')
}
