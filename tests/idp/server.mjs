// An identity provider on loopback. Arguments: the port of its issuer, and the port of its control endpoint.
//
// Control: POST /rotate makes a new signing key, the old one stays published; POST /retire takes the old ones away.
import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';

const [port, controlPort] = process.argv.slice(2).map(Number);
const issuer = `http://127.0.0.1:${port}`;

// The first one signs.
let keys = [newKey()];
let serve = makeProvider();

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' };
}

function client(id, members) {
  return { client_id: id, client_secret: `${id}: a secret/%`, redirect_uris: [], response_types: [], ...members };
}

function makeProvider() {
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [
      client('reports', { grant_types: ['client_credentials'], scope: 'read write' }),
      client('gateway', { grant_types: [], token_endpoint_auth_method: 'client_secret_basic' }),
      client('gateway-post', { grant_types: [], token_endpoint_auth_method: 'client_secret_post' }),
    ],
    scopes: ['read', 'write'],
    cookies: { keys: [randomUUID()] },
    ttl: { ClientCredentials: 600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      // With a resource, access tokens are JWTs for it; without one they are opaque.
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, resource) => ({
          audience: resource,
          scope: 'read write',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  return provider.callback();
}

function control(request, response) {
  if (request.url === '/rotate') keys = [newKey(), ...keys];
  else if (request.url === '/retire') keys = keys.slice(0, 1);
  else return response.writeHead(404).end();
  serve = makeProvider();
  return response.writeHead(204).end();
}

createServer((request, response) => serve(request, response)).listen(port, '127.0.0.1');
createServer(control).listen(controlPort, '127.0.0.1');
