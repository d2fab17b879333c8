// A client of KEDA's external scaler by grpc-js, with the protocol's own file: asks as KEDA would.
//
//   keda_client.js CALL NAMESPACE METADATA           stdout: the answer, or {code, details} of a refusal
//   keda_client.js StreamIsActive NAMESPACE METADATA COUNT   stdout: the first COUNT answers; BINDING/answered is there after the first
//
// BINDING is a directory with ca.crt and host. CONNECT_TO is the address to connect to, where there is no cluster DNS.
'use strict';
const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const LIMIT_MS = 30000;
const PORT = 9443;

const [, , call, namespace, metadata, count] = process.argv;
const file = (name) => fs.readFileSync(path.join(process.env.BINDING, name));

function done(answer) {
  console.log(JSON.stringify(answer));
  process.exit(0);
}

setTimeout(() => {
  console.error('keda: no answer in time');
  process.exit(1);
}, LIMIT_MS);

const definition = loader.loadSync(path.join(__dirname, '../../operator/proto/externalscaler.proto'), { longs: Number, defaults: true });
const { ExternalScaler } = grpc.loadPackageDefinition(definition).externalscaler;
const host = file('host').toString();
const client = new ExternalScaler(`${process.env.CONNECT_TO}:${PORT}`, grpc.credentials.createSsl(file('ca.crt')), {
  'grpc.ssl_target_name_override': host,
  'grpc.default_authority': host,
  // The Service leads to the one that leads by chance: with pauses that double, one test in twenty would find it too late.
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 500,
});

const object = { name: 'test', namespace, scalerMetadata: JSON.parse(metadata) };
// A replica that does not lead refuses the connection: the client tries again by itself, as KEDA's does.
client.waitForReady(Date.now() + LIMIT_MS, (error) => {
  if (error) {
    console.error(`keda: ${error.message}`);
    process.exit(1);
  }
  if (call === 'StreamIsActive') {
    const answers = [];
    const stream = client.StreamIsActive(object);
    stream.on('data', (answer) => {
      answers.push(answer);
      fs.writeFileSync(path.join(process.env.BINDING, 'answered'), '');
      if (answers.length === Number(count)) done(answers);
    });
    stream.on('error', ({ code, details }) => done({ code, details }));
    return;
  }
  const question = call === 'GetMetrics' ? { scaledObjectRef: object, metricName: 'messages' } : object;
  client[call](question, (refused, answer) => done(refused ? { code: refused.code, details: refused.details } : answer));
});
