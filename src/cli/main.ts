import { Command, CommanderError, Help, InvalidArgumentError, Option } from 'commander'
import manifest from '../../package.json' with { type: 'json' }
import { isServiceError, messageOf, type ServiceError } from '../errors.ts'
import { type Environment } from './address.ts'
import { asCalled, calledAs } from './called.ts'
import { Cli, type CliStreams, type GlobalOptions } from './cli.ts'
import { registerAlert } from './commands/alert.ts'
import { registerApiToken } from './commands/api-token.ts'
import { registerApply } from './commands/apply.ts'
import { registerAudit } from './commands/audit.ts'
import { registerAuthority } from './commands/authority.ts'
import { registerBundle } from './commands/bundle.ts'
import { registerBundleRecovery } from './commands/bundle-recovery.ts'
import { registerBundleSet } from './commands/bundle-set.ts'
import { registerCluster } from './commands/cluster.ts'
import { registerControlPlane } from './commands/control-plane.ts'
import { registerEgress } from './commands/egress.ts'
import { registerEntry } from './commands/entry.ts'
import { registerExplain } from './commands/explain.ts'
import { registerFederation } from './commands/federation.ts'
import { registerQuota } from './commands/quota.ts'
import { registerGrant } from './commands/grant.ts'
import { registerGateway } from './commands/gateway.ts'
import { registerJoinToken } from './commands/join-token.ts'
import { registerMesh } from './commands/mesh.ts'
import { registerNetwork } from './commands/network.ts'
import { registerPeerGroup } from './commands/peer-group.ts'
import { registerRecoveryKey } from './commands/recovery-key.ts'
import { registerResolve } from './commands/resolve.ts'
import { registerRule } from './commands/rule.ts'
import { registerServiceCommands } from './commands/serve.ts'
import { registerService } from './commands/service.ts'
import { registerSvid } from './commands/svid.ts'
import { registerWebhook } from './commands/webhook.ts'
import { registerTrust } from './commands/trust.ts'
import { registerWhoami } from './commands/whoami.ts'
import { CliExit, CliFailure, EXIT } from './failure.ts'
import { formatNext, OUTPUT_MODES, type OutputMode } from './output.ts'
import { sanitizeLine, sanitizeText } from './sanitize.ts'

const REGISTERS: readonly ((program: Command, cli: Cli) => void)[] = [
  registerServiceCommands,
  registerMesh,
  registerCluster,
  registerControlPlane,
  registerNetwork,
  registerGateway,
  registerAuthority,
  (program, cli) => {
    const bundle = nounOf(program, 'bundle', 'trust bundles, ours and those of peers')
    registerBundle(bundle, cli)
    registerBundleSet(bundle, cli)
    registerBundleRecovery(bundle, cli)
  },
  registerRecoveryKey,
  registerService,
  registerRule,
  registerExplain,
  registerResolve,
  registerEntry,
  registerJoinToken,
  registerSvid,
  registerFederation,
  registerPeerGroup,
  registerApply,
  registerEgress,
  registerAlert,
  registerWebhook,
  registerAudit,
  registerApiToken,
  registerGrant,
  registerQuota,
  registerTrust,
  registerWhoami,
]

const HELP = `
Exit codes:
  0  done
  1  the service refused it, or it failed; the message says what helps
  2  the command line is wrong
  3  the service did not answer

Environment:
  ENTENTE_ADDR        the service: http(s)://HOST:PORT or unix:PATH (default: admin.sock in the data folder)
  ENTENTE_TOKEN_FILE  file with the API token (default: admin.token in the data folder)
  ENTENTE_CA_FILE     CA of the service's certificate, PEM
  ENTENTE_DATA_DIR    data folder of a service on this machine (default ./data)
                      --data-dir wins over ENTENTE_ADDR and ENTENTE_TOKEN_FILE
  ENTENTE_MESH        the mesh, where there are several`

/**
 * Runs one command line (without program name) and answers its exit code, see {@link EXIT}.
 *
 * Results go to stdout, everything else to stderr; with \`--output json\` a failure is JSON too.
 */
export async function runCli(
  argv: readonly string[],
  env: Environment,
  streams: CliStreams = process,
): Promise<number> {
  const program: Command = createProgram(
    env,
    pasteable(streams, () => globalsOf(program)),
  )
  try {
    await program.parseAsync(argv, { from: 'user' })
    return EXIT.ok
  } catch (thrown) {
    if (thrown instanceof CliExit) return thrown.exitCode
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage
    const { stderr } = pasteable(streams, () => globalsOf(program))
    return report(thrown, { stderr, output: globalsOf(program).output })
  }
}

/** The whole program with every command and option, as help and documentation show it. */
export function createProgram(env: Environment, streams: CliStreams): Command {
  const program = new Command('entente')
    .description('SPIFFE trust-domain federation service: run it, and speak to it')
    .version(manifest.version, '--version', 'print the version')
    .helpOption('-h, --help', 'explain the command')
    .addOption(
      new Option('-o, --output <mode>', 'how results are printed')
        .choices(OUTPUT_MODES)
        .default('table'),
    )
    .option('--mesh <mesh>', 'the mesh; needed only where there are several', nonEmpty)
    .option('--data-dir <folder>', 'data folder of a service on this machine', nonEmpty)
    .addHelpText('after', HELP)
    .configureHelp({ optionDescription: describe })
    .showHelpAfterError('(--help explains the command)')
    .configureOutput({
      writeOut: (text) => streams.stdout.write(text),
      writeErr: (text) => streams.stderr.write(sanitizeText(text)),
    })
    .exitOverride()
  const cli = new Cli({ env, streams, globals: () => globalsOf(program) })
  for (const register of REGISTERS) register(program, cli)
  return program
}

/** That a repeatable option is given no times at first goes without saying. */
function describe(option: Option): string {
  return new Help().optionDescription(option).replace(' (default: [])', '')
}

/** The command of this noun, which several files add to. */
function nounOf(program: Command, name: string, description: string): Command {
  const known = program.commands.find((command) => command.name() === name)
  return known ?? program.command(name).description(description)
}

/** For people, every command that we suggest is written so that it runs when it is pasted. */
function pasteable(streams: CliStreams, globals: () => GlobalOptions): CliStreams {
  const rewrite = (text: string): string => {
    const { output, dataDir, mesh } = globals()
    if (output !== 'table') return text
    const [, script] = process.argv
    return asCalled(
      text,
      calledAs({ script, path: process.env['PATH'], cwd: process.cwd(), dataDir, mesh }),
    )
  }
  return {
    stdin: streams.stdin,
    stdout: { write: (text) => streams.stdout.write(rewrite(text)) },
    stderr: { write: (text) => streams.stderr.write(rewrite(text)) },
  }
}

function globalsOf(program: Command): GlobalOptions {
  const { output, mesh, dataDir } = program.opts<Partial<GlobalOptions>>()
  return { output: output ?? 'table', mesh, dataDir }
}

function nonEmpty(value: string): string {
  if (value !== '') return value
  throw new InvalidArgumentError('it must not be empty')
}

interface ReportTo {
  readonly stderr: CliStreams['stderr']
  readonly output: OutputMode
}

/** Prints a failure and answers its exit code; anything unforeseen is a bug and shows its stack. */
function report(thrown: unknown, { stderr, output }: ReportTo): number {
  const failure = asFailure(thrown)
  stderr.write(output === 'json' ? failureAsJson(failure) : failureAsText(failure))
  if (failure.cause === thrown && thrown instanceof Error) {
    stderr.write(`${sanitizeText(thrown.stack ?? '')}\n`)
  }
  return failure.exitCode
}

function asFailure(thrown: unknown): CliFailure {
  if (thrown instanceof CliFailure) return thrown
  if (isServiceError(thrown)) return fromServiceError(thrown)
  return new CliFailure(`this is a bug: ${messageOf(thrown)}`, { cause: thrown })
}

function fromServiceError({ message, code, fields, next }: ServiceError): CliFailure {
  return new CliFailure(message, { code, fields, next: next === undefined ? [] : [next] })
}

function failureAsText({ message, status, code, fields, next }: CliFailure): string {
  const facts = [status, code].filter((fact) => fact !== undefined).join(' ')
  const head = `error: ${sanitizeLine(message)}${facts === '' ? '' : ` (${sanitizeLine(facts)})`}\n`
  const lines = fields.map(({ in: place = '', pointer = '', detail }) => {
    const where = sanitizeLine(`${place} ${pointer}`.trim())
    // What the message has said already is not said again.
    return detail === message ? `  ${where}\n` : `  ${where}: ${sanitizeLine(detail)}\n`
  })
  return head + lines.join('') + formatNext(next)
}

function failureAsJson({ message, status, code, fields, next, exitCode }: CliFailure): string {
  const failure = { error: message, status, code, fields, next, exitCode }
  return `${sanitizeText(JSON.stringify(failure))}\n`
}
