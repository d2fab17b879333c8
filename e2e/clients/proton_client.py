"""A client of AMQP 1.0 by Qpid Proton: sends the messages of stdin, or receives as many as it is told to.

    proton_client.py send ADDRESS            stdin: [{id, properties, application, body}]   stdout: ["accepted", ...]
    proton_client.py receive ADDRESS COUNT   stdout: [{id, body}]; each message is accepted

BINDING is the directory of a Client's Secret. CONNECT_TO is the address to connect to, where there is no cluster DNS.
A value is of the type that is written, {"ulong": 5}; a plain one is of the type that Proton gives it.
"""

import json
import os
import sys
import uuid

import proton
from proton.handlers import MessagingHandler
from proton.reactor import Container

LIMIT_SECONDS = 30
CREDIT = 200

TYPES = {
    "boolean": bool,
    "ubyte": proton.ubyte,
    "ushort": proton.ushort,
    "uint": proton.uint,
    "ulong": lambda value: proton.ulong(int(value)),
    "byte": proton.byte,
    "short": proton.short,
    "int": proton.int32,
    "long": int,
    "float": lambda value: proton.float32(float(value)),
    "double": float,
    "char": proton.char,
    "timestamp": proton.timestamp,
    "uuid": uuid.UUID,
    "binary": bytes.fromhex,
    "string": str,
    "symbol": proton.symbol,
}

# Fields of the properties section that Proton calls otherwise.
NAMES = {"to": "address", "absolute_expiry_time": "expiry_time"}


def field(name):
    with open(os.path.join(os.environ["BINDING"], name), encoding="utf-8") as file:
        return file.read()


def typed(value):
    if not isinstance(value, dict):
        return value
    ((kind, plain),) = value.items()
    return TYPES[kind](plain)


def message_of(line):
    message = proton.Message(body=line.get("body"), id=line["id"])
    for name, value in (line.get("properties") or {}).items():
        # Proton knows the types of these: it takes plain values, and seconds for milliseconds.
        plain = next(iter(value.values())) if isinstance(value, dict) else value
        setattr(message, NAMES.get(name, name), plain / 1000 if name.endswith("_time") else plain)
    if "application" in line:
        message.properties = {name: typed(value) for name, value in line["application"].items()}
    return message


class Program(MessagingHandler):
    def __init__(self, verb, address, count):
        super().__init__(prefetch=0, auto_accept=False)
        self.verb, self.address, self.count = verb, address, count
        self.messages = [message_of(line) for line in json.load(sys.stdin)] if verb == "send" else []
        self.places, self.outcomes, self.got = {}, [None] * len(self.messages), []
        self.next = self.settled = 0
        self.problem = self.result = None

    def on_start(self, event):
        trust = proton.SSLDomain(proton.SSLDomain.MODE_CLIENT)
        authority = os.path.join(os.environ["BINDING"], "ca.crt")
        trust.set_trusted_ca_db(authority)
        trust.set_peer_authentication(proton.SSLDomain.VERIFY_PEER_NAME, authority)
        connection = event.container.connect(
            f"amqps://{os.environ['CONNECT_TO']}:{field('port')}",
            ssl_domain=trust,
            sni=field("host"),
            virtual_host=field("hostname"),
            user=field("username"),
            password=field("password"),
            reconnect=False,
        )
        event.container.schedule(LIMIT_SECONDS, self)
        if self.verb == "send":
            event.container.create_sender(connection, self.address)
        else:
            self.given = min(self.count, CREDIT)
            event.container.create_receiver(connection, self.address).flow(self.given)

    def on_sendable(self, event):
        while self.next < len(self.messages) and event.sender.credit:
            delivery = event.sender.send(self.messages[self.next])
            self.places[delivery.tag] = self.next
            self.next += 1

    def note(self, event, outcome):
        self.outcomes[self.places[event.delivery.tag]] = outcome

    def on_accepted(self, event):
        self.note(event, "accepted")

    def on_rejected(self, event):
        self.note(event, "rejected")

    def on_released(self, event):
        self.note(event, "modified" if event.delivery.remote_state == proton.Delivery.MODIFIED else "released")

    def on_settled(self, event):
        if self.verb == "send":
            self.settled += 1
            if self.settled == len(self.messages):
                self.result = self.outcomes
                event.connection.close()

    def on_message(self, event):
        self.got.append({"id": event.message.id, "body": event.message.body})
        self.accept(event.delivery)
        if self.given < self.count:
            event.receiver.flow(1)
            self.given += 1
        if len(self.got) == self.count:
            # The link is closed in order behind the last settlement.
            event.receiver.close()

    def on_link_closed(self, event):
        if self.verb == "receive" and len(self.got) == self.count:
            self.result = self.got
            event.connection.close()

    def fail(self, event, problem):
        self.problem = self.problem or problem
        event.container.stop()

    def on_timer_task(self, event):
        self.fail(event, f"{self.verb} {self.address}: not done after {LIMIT_SECONDS} s")

    def on_connection_closed(self, event):
        event.container.stop()

    def on_transport_error(self, event):
        self.fail(event, f"transport: {event.transport.condition}")

    def on_link_error(self, event):
        self.fail(event, f"link: {event.link.remote_condition}")

    def on_session_error(self, event):
        self.fail(event, f"session: {event.session.remote_condition}")

    def on_connection_error(self, event):
        self.fail(event, f"connection: {event.connection.remote_condition}")


def main():
    verb, address, *count = sys.argv[1:]
    program = Program(verb, address, int(count[0]) if count else 0)
    Container(program).run()
    if program.problem or program.result is None:
        sys.exit(f"proton: {program.problem or 'the connection ended before the work was done'}")
    json.dump(program.result, sys.stdout)


main()
