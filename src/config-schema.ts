import { type Static, Type } from 'typebox'

const address = (value: string, description: string) =>
  Type.String({
    default: value,
    pattern: '^(\\[[0-9a-fA-F:.]+\\]|[^:\\s]+):[0-9]{1,5}$',
    description,
  })
const seconds = (value: number, minimum: number, description: string) =>
  Type.Integer({ default: value, minimum, maximum: 365 * 86_400, description })
const optional = (description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: 4096, description }))
const list = (description: string) =>
  Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { default: [], description })

/**
 * Every setting of the service: the variable is `ENTENTE_` + its name, the key in the YAML file the same name in
 * lower case. This one schema validates both and makes docs/configuration.md.
 */
export const ConfigSchema = Type.Object(
  {
    DATA_DIR: Type.String({
      default: './data',
      minLength: 1,
      description:
        'Folder of the embedded database, the admin socket and token, and the KEK made for it',
    }),
    DATABASE_URL: optional(
      'Postgres to keep everything in; absent: embedded database in the data folder, one process',
    ),
    DATABASE_LISTEN_URL: optional(
      'Direct connection for LISTEN and migrations where DATABASE_URL goes through a pooler; default the same',
    ),
    DATABASE_MAX_CONNECTIONS: Type.Integer({
      default: 10,
      minimum: 2,
      maximum: 200,
      description: 'Connections of the request pool; the background pool has 4 more',
    }),
    KEK_FILE: optional(
      'Key encryption key (`entente kek create --out FILE`); required with Postgres, made in the data folder without',
    ),
    PORT_OFFSET: Type.Integer({
      default: 0,
      minimum: 0,
      maximum: 50_000,
      description:
        'Added to all default ports and to the default of PUBLIC_URL, for a second service on one machine',
    }),
    PUBLIC_URL: Type.String({
      default: 'https://localhost:8443',
      pattern: '^https://[^/@?#\\s]+$',
      description: 'Base of every bundle URL we print; meshes get hosts below its host',
    }),
    WORKLOAD_URL: Type.Optional(
      Type.String({
        pattern: '^https://[^/@?#\\s]+$',
        description:
          'Base of the workload listener as workloads reach it; default the public host with the port of WORKLOAD_ADDRESS',
      }),
    ),
    FEDERATION_ADDRESS: address('0.0.0.0:8443', 'Where peers fetch bundles, HTTPS'),
    WORKLOAD_ADDRESS: address('0.0.0.0:8444', 'Where workloads fetch SVIDs, HTTPS'),
    ADMIN_ADDRESS: address('127.0.0.1:8080', 'REST API of administrators and its reader'),
    TELEMETRY_ADDRESS: address('127.0.0.1:9464', '/metrics, /livez and /readyz, plain HTTP'),
    ADMIN_TLS: Type.Enum(['off', 'files'], {
      default: 'off',
      description: 'Beyond loopback `off` needs ADMIN_BEHIND_PROXY=true',
    }),
    ADMIN_TLS_CERT_FILE: optional('PEM chain of the admin listener, with ADMIN_TLS=files'),
    ADMIN_TLS_KEY_FILE: optional('PEM key of the admin listener, with ADMIN_TLS=files'),
    ADMIN_BEHIND_PROXY: Type.Boolean({
      default: false,
      description: 'A proxy in front of the admin listener ends TLS',
    }),
    ADMIN_HOSTS: list(
      'Further host names the admin listener answers to, beside localhost, 127.0.0.1 and [::1]',
    ),
    ADMIN_TOKEN_FILE: optional(
      'File with the first admin token; required with Postgres, made in the data folder without',
    ),
    DEFAULT_TLS: optional(
      'What a handshake without a known name gets: `web` or a trust domain; default the first made',
    ),
    WEB_CERT_FILE: optional('PEM chain for the https_web profile; reloaded when it changes'),
    WEB_KEY_FILE: optional('PEM key for the https_web profile; reloaded when it changes'),
    WEB_ROOTS_FILE: optional(
      'PEM roots trusted for https_web endpoints of peers beside the system roots',
    ),
    SERVE_STALE_SECONDS: seconds(
      3600,
      0,
      'How long bundles are served from memory while the database is away, then 503',
    ),
    POLL_MIN_SECONDS: seconds(60, 1, "Lower limit of a peer's refresh hint"),
    EGRESS_ALLOW: list(
      'Destinations beyond public addresses that may be connected to: CIDR, address or host name, each with optional :port',
    ),
    FOLLOW_REDIRECTS: Type.Boolean({
      default: true,
      description:
        'Whether redirects of bundle endpoints are followed, each hop checked as the first',
    }),
    ADMIN_CALLS_PER_SECOND: Type.Integer({
      default: 100,
      minimum: 1,
      maximum: 100_000,
      description:
        'Calls to the admin API that one API token may make of each process a second, and ten times as many at once; then 429 with Retry-After',
    }),
    MESH_REQUESTS_PER_SECOND: Type.Integer({
      default: 2500,
      minimum: 1,
      maximum: 5000,
      description:
        'Requests that the workloads of one mesh may make of all replicas a second, and twice as many at once; then 429 with Retry-After. All meshes together have 5000. First SVIDs leave half of what may come at once to renewals',
    }),
    LIFECYCLE_TICK_SECONDS: seconds(5, 1, 'Seconds between looks at what authorities need'),
    LOG_LEVEL: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
      default: 'info',
      description: 'Lowest level that is logged, as JSON lines on standard output',
    }),
  },
  { additionalProperties: false },
)

/** The settings, validated and with defaults. */
export type Config = Static<typeof ConfigSchema>
